"""``python -m distill_lammps``: ``build`` finds or builds LAMMPS, ``env`` puts it on the paths."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from distill.errors import DistillError

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def build(
    source: Annotated[
        Path | None, typer.Option(help="LAMMPS' source, a folder or archive (default: Debian's).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even where one is there.")] = False,
) -> None:
    """Finds a LAMMPS that takes students, or builds one into the user's cache; prints its place.

    An `lmp` on the PATH is taken when it runs a student and is right; else the reason is said, and
    LAMMPS is built: ML-IAP with Python, MOLECULE, KSPACE, RIGID, PLUGIN, MPI. No root is needed.
    DISTILL_CACHE names another folder for it.
    """
    from distill_lammps.build import build as make
    from distill_lammps.build import built
    from distill_lammps.find import on_path, why_not

    found = on_path()
    if found and not force and built() is None:
        reason = why_not(found)
        if not reason:
            print(found)
            return
        say(f"{found} will not do: {reason}.")
    place = make(source, force, say)
    reason = why_not(str(place / "bin" / "lmp"), place)
    if reason:
        raise DistillError(f"The LAMMPS in {place} will not do: {reason}; build it again: --force.")
    print(place)


@app.command()
def env() -> None:
    """Prints what a shell needs: eval "$(python -m distill_lammps env)"."""
    from distill_lammps.build import built
    from distill_lammps.environment import for_shell
    from distill_lammps.find import on_path

    place = built()
    if place is None and on_path() is None:
        raise DistillError("There is no LAMMPS yet; build it: python -m distill_lammps build.")
    print(for_shell(place))


@app.command()
def data(
    source: Annotated[
        str,
        typer.Argument(help="The molecule: SMILES, or a .smi, .sdf, .xyz or .pdb file with it."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The data file to write.")],
    molecules: Annotated[int, typer.Option(help="1: in vacuum; more: a periodic liquid.")] = 1,
    density: Annotated[float, typer.Option(help="Of the liquid, g/cm3.")] = 0.8,
    box: Annotated[float, typer.Option(help="Å, of the box around a molecule in vacuum.")] = 40.0,
    charge: Annotated[
        int | None, typer.Option(help="Of coordinates (XYZ, PDB), in e.", show_default="the file's")
    ] = None,
    spin: Annotated[
        int | None, typer.Option(help="Multiplicity of coordinates.", show_default="the file's")
    ] = None,
) -> None:
    """Writes a LAMMPS data file (atom_style atomic) of a molecule in vacuum, or of a liquid.

    Coordinates in the file are kept; of a SMILES they are made. The atom types are H C N O F P S Cl
    Br I, then isotopes; what pair_coeff needs is printed.
    """
    from distill.data.molecules import read_one
    from distill_lammps.data import elements, in_vacuum, liquid, write_data

    if molecules < 1:
        raise DistillError(f"--molecules is {molecules}; use 1 or more.")
    if not density > 0:
        raise DistillError(f"--density is {density:g}; use a positive one, in g/cm3.")
    if not out.absolute().parent.is_dir():
        raise DistillError(f"There is no folder {out.parent}; make it first.")
    molecule = read_one(source, charge=charge, spin=spin)
    for note in getattr(molecule, "notes", ()):
        say(f"Please note: {note}")
    if len(molecule.positions) > 1:
        say(f"{source} has {len(molecule.positions)} geometries; the first is taken.")
    atoms = in_vacuum(molecule, box) if molecules == 1 else liquid(molecule, molecules, density)
    write_data(atoms, out)
    print(f"{out}: {len(atoms)} atoms in {atoms.cell.lengths()[0]:.2f} Å")
    print(f"pair_coeff * * FILE {elements(atoms)}  # FILE: of distill export --format lammps")


def say(sentence: str) -> None:
    """To the user, not into what a script reads."""
    print(sentence, file=sys.stderr, flush=True)


def main() -> None:
    """Turns what users can mend into one sentence."""
    try:
        app(standalone_mode=True)
    except DistillError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
