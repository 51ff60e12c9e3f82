"""The command ``distill md``."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from distill.arguments import check_room, from_root
from distill.errors import DistillError
from distill.plugins import of_openmm

IN_VACUUM = {"timestep": 1.0, "every": 0.1, "equilibrate": 1.0}
WITH_OTHERS = {"timestep": 2.0, "every": 0.5, "equilibrate": 10.0}
HEAVY_HYDROGEN = 3.0
"""Da, where the step is longer than LIGHT_STEP fs and nothing else is asked for."""
LIGHT_STEP = 1.0


def small(word: str | None) -> str | None:
    """A word of an option in small letters, as people write NPT or Water; a file's name stays."""
    return word if word is None or "." in word else word.lower()


def md(
    student: Annotated[
        str,
        typer.Argument(
            help="A shipped student's name, a student file, or the folder of a `distill run`."
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(
            help="A SMILES, a file of one molecule, or the folder of a `distill run`, which "
            "STUDENT may be alone.",
            show_default=False,
        ),
    ] = "",
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The folder for all results.", show_default=False)
    ] = Path(),
    ps: Annotated[
        float | None, typer.Option(help="Picoseconds of production.", show_default="100")
    ] = None,
    ns: Annotated[float | None, typer.Option(help="The same in nanoseconds.")] = None,
    temperature: Annotated[float, typer.Option(help="In K.")] = 300.0,
    timestep: Annotated[
        float | None, typer.Option(help="In fs.", show_default="1 in vacuum, else 2")
    ] = None,
    ensemble: Annotated[
        str, typer.Option(callback=small, help="nve, nvt, npt, or auto: npt in a box, else nvt.")
    ] = "auto",
    pressure: Annotated[float, typer.Option(help="Of npt, in bar.")] = 1.0,
    friction: Annotated[float, typer.Option(help="Of the thermostat, in 1/ps.")] = 1.0,
    hydrogen_mass: Annotated[
        float | None,
        typer.Option(
            help="In Da; what hydrogens gain, the atoms that they are bonded to lose.",
            show_default="3 with steps above 1 fs, else 1.008",
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(help="Picoseconds between frames.", show_default="0.1 in vacuum, else 0.5"),
    ] = None,
    equilibrate: Annotated[
        float | None,
        typer.Option(
            help="Picoseconds before the production, heating among them.",
            show_default="1 in vacuum, else 10",
        ),
    ] = None,
    solvent: Annotated[
        str | None,
        typer.Option(
            callback=small,
            help="water, in a box; obc2 or gbn2, which are implicit; none.",
            show_default="water around a complex, else none",
        ),
    ] = None,
    water_model: Annotated[
        str,
        typer.Option(callback=small, help="tip3p, tip3pfb, spce, opc3, opc, tip4pew, tip4pfb."),
    ] = "tip3p",
    padding: Annotated[
        float | None,
        typer.Option(
            help="From the molecule to the border of the box, in Å.",
            show_default="12, or what the cutoff needs",
        ),
    ] = None,
    salt: Annotated[float, typer.Option(help="NaCl in mol/l, beside what neutralizes.")] = 0.0,
    box: Annotated[
        str,
        typer.Option(callback=small, help="Of water: dodecahedron, octahedron or cube."),
    ] = "dodecahedron",
    cutoff: Annotated[float, typer.Option(help="Of the classical forces, in Å.")] = 9.0,
    complex_: Annotated[
        str, typer.Option("--complex", help="A PDB file of a protein, with --ligand.")
    ] = "",
    ligand: Annotated[
        str, typer.Option(help="An SDF or MOL2 file of the ligand in its place, or its SMILES.")
    ] = "",
    residue: Annotated[
        str,
        typer.Option(
            help="The PDB's residue that the ligand is (LIG, A:12), if that has no coordinates."
        ),
    ] = "",
    ph: Annotated[float, typer.Option(help="For the protein's hydrogens.")] = 7.0,
    charges: Annotated[
        str,
        typer.Option(
            callback=small,
            help="Of the molecule in the force field: am1-bcc, abcg2, gasteiger, or a MOL2 file.",
        ),
    ] = "am1-bcc",
    charge_minutes: Annotated[float, typer.Option(help="That AM1-BCC may take at most.")] = 10.0,
    prmtop: Annotated[
        str, typer.Option(help="Amber's topology of everything, with --inpcrd and --ml.")
    ] = "",
    inpcrd: Annotated[str, typer.Option(help="Its coordinates.")] = "",
    system: Annotated[str, typer.Option(help="An OpenMM System as XML, with --pdb and --ml.")] = "",
    force_field: Annotated[
        list[str],
        typer.Option(help="OpenMM's force-field files, with --pdb and --ml; may be repeated."),
    ] = [],  # noqa: B006  (typer copies it)
    pdb: Annotated[str, typer.Option(help="A PDB file of everything.")] = "",
    ml: Annotated[
        str,
        typer.Option(
            help="The student's atoms: residues by name (LIG) or chain and number (A:12; :12 of a "
            "blank chain), or atoms counted from 0 (atoms 0-11,15)."
        ),
    ] = "",
    charge: Annotated[int | None, typer.Option(help="Of coordinates (XYZ, PDB), in e.")] = None,
    spin: Annotated[int | None, typer.Option(help="Multiplicity 2S+1 of coordinates.")] = None,
    largest_fragment: Annotated[
        bool, typer.Option("--largest-fragment", help="Of a salt take the largest fragment alone.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 0,
    platform: Annotated[
        str,
        typer.Option(
            callback=small,
            help="OpenMM's: Reference, CPU, CUDA, OpenCL; auto is the fastest (in vacuum "
            "Reference).",
        ),
    ] = "auto",
    threads: Annotated[
        int,
        typer.Option(
            help="Of the CPU platform. With one, the same command gives the same run in every bit."
        ),
    ] = 1,
    precision: Annotated[
        str, typer.Option(callback=small, help="Of the network: float32 or float64.")
    ] = "float32",
) -> None:
    """Molecular dynamics with a student: of a molecule in vacuum or in water, of a ligand in its
    protein.

    The student moves the molecule; water and protein are a force field's, which also acts between
    them and the molecule (ML/MM, mechanical embedding). The folder then holds topology.pdb,
    trajectory.dcd, md.csv, md.json, md.png and md.log. The same command goes on after a stop, also
    with a longer --ps.

    Example: `distill md tiny "CC(=O)Nc1ccc(O)cc1" --solvent water --ps 20 -o wet`

    `distill md paracetamol -o longer --ns 1` (the folder of a `distill run`: its student and its
    molecule)

    `distill md tiny --complex protein.pdb --ligand ligand.sdf --ps 100 -o bound`

    `distill md tiny --prmtop complex.prmtop --inpcrd complex.inpcrd --ml LIG -o bound`
    """
    if out == Path():
        raise DistillError("Name a folder for the results: -o DIR.")
    if ps is not None and ns is not None:
        raise DistillError("--ps and --ns say the same; give one of them.")
    check_room(out)
    from distill.md import MDSettings, Source
    from distill.student.file import SHIPPED

    if os.path.isdir(student):
        others = (source, complex_, prmtop, system, *force_field)
        source = source if any(others) else student
        student = student_in(student)
    if os.path.isfile(os.path.join(source, "run.json")):
        source = os.path.abspath(source)
    where = Source(
        molecule=from_root(source),
        complex=from_root(complex_),
        ligand=from_root(ligand),
        residue=residue,
        prmtop=from_root(prmtop),
        inpcrd=from_root(inpcrd),
        system=from_root(system),
        force_field=tuple(map(from_root, force_field)),
        pdb=from_root(pdb),
        ml=ml,
        solvent=solvent or ("water" if complex_ else "none"),
        water_model=water_model,
        padding=padding,
        salt=salt,
        box=box,
        cutoff=cutoff,
        ph=ph,
        charges=from_root(charges),
        charge_minutes=charge_minutes,
        charge=charge,
        spin=spin,
        largest_fragment=largest_fragment,
    )
    usual = IN_VACUUM if where.in_vacuum else WITH_OTHERS
    step = usual["timestep"] if timestep is None else timestep
    if hydrogen_mass is None and step > LIGHT_STEP:
        hydrogen_mass = HEAVY_HYDROGEN
    settings = MDSettings(
        ps=1000.0 * ns if ns is not None else 100.0 if ps is None else ps,
        temperature=temperature,
        timestep=step,
        ensemble=ensemble,
        pressure=pressure,
        friction=friction,
        every=usual["every"] if every is None else every,
        equilibrate=usual["equilibrate"] if equilibrate is None else equilibrate,
        hydrogen_mass=hydrogen_mass,
        seed=seed,
        platform=platform,
        threads=threads,
        precision=precision,
    )
    engine = of_openmm("distill.md", "`distill md` needs OpenMM")
    engine(from_root(student, SHIPPED), where, settings, out, Console())


def student_in(folder: str) -> str:
    """The student of a ``distill run`` or ``train``."""
    file = Path(folder) / "student.safetensors"
    if not file.is_file():
        raise DistillError(f"{folder} holds no student.safetensors; give a student's name or file.")
    return str(file)
