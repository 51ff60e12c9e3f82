"""Reading: molecules from sources of all kinds, and all that is wrong in them told at once."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from distill.charge import nearly_whole
from distill.data.bonds import connected, likely_charge, pairs_of, stereo_from_space, with_orders
from distill.data.charge import charge_and_spin, charge_of_properties
from distill.data.mol2 import Mol2, parse
from distill.data.molecules import (
    Molecule,
    check,
    clean_name,
    distinct,
    from_rdkit,
    from_smiles,
    quietly,
)
from distill.data.pdb import read_models
from distill.data.xyz import Frame, frames
from distill.errors import DistillError, reason

MOST_NAMED = 20
"""Of so many bad molecules a message tells; of the others it tells how many they are."""


class Options(NamedTuple):
    """What the user says beside the sources: see `read_molecules`."""

    charge: int | None = None
    spin: int | None = None
    largest_fragment: bool = False


Record = Molecule | DistillError
Reader = Callable[[Path, Options], Iterator[Record]]


def read(
    sources: Iterable[str], options: Options, skipped: list[str] | None = None
) -> list[Molecule]:
    """The molecules of the sources; DistillError for the bad ones unless they may be skipped."""
    good: list[Molecule] = []
    bad: list[str] = []
    for source in sources:
        found = []
        for record in _records(source, options):
            if isinstance(record, DistillError):
                bad.append(str(record))
            else:
                found.append(record)
        good += distinct(found)
    if bad and (skipped is None or not good):
        raise DistillError(told(bad, len(good)))
    if skipped is not None:
        skipped += bad
    return distinct(good)


def listed(problems: list[str]) -> str:
    """Some twenty of them, a line each, and how many more there are."""
    more = len(problems) - MOST_NAMED
    lines = problems[:MOST_NAMED] + ([f"and {more} more."] if more > 0 else [])
    return "\n".join(f"  {line}" for line in lines)


def told(bad: list[str], good: int) -> str:
    """What is wrong with molecules, beside which so many are good, and what can be done."""
    if len(bad) == 1:
        return bad[0] + (" (--skip-bad goes on without it.)" if good else "")
    goes_on = "mend them, or go on without them (--skip-bad)" if good else "mend them"
    return f"{len(bad)} molecules cannot be used; {goes_on}:\n{listed(bad)}"


def _records(source: str, options: Options) -> Iterator[Record]:
    """The molecules of one source, and an error in the place of each that is none."""
    if re.match("[a-z]+:[a-z]+(:|$)", source):
        from distill.data.sets import read_set

        for molecule in read_set(source):
            yield _checked(source, _agrees, molecule, options)
        return
    path = Path(source)
    kind = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    reader = READERS.get(kind.suffix.lower())
    if reader is None:
        # unlike Path.is_file, it takes a SMILES of any length; a folder may have the name of one
        if os.path.exists(source) and not os.path.isdir(source):
            raise DistillError(f"{source}: unknown kind of file; give {', '.join(READERS)}.")
        yield _checked("", _from_line, source, None, options)
        return
    if not path.is_file():
        raise DistillError(f"{source}: no such file.")
    none = True
    for record in reader(path, options):
        none = False
        yield record
    if none:
        raise DistillError(f"{source} holds no molecule.")


def _checked(where: str, make: Callable[..., Molecule], *args: Any) -> Record:
    """The molecule, or what is wrong with it and where it stands."""
    try:
        molecule = make(*args)
        check(molecule)
    except DistillError as error:
        text = str(error)
        return DistillError(text if not where or text.startswith(where) else f"{where}: {text}")
    return molecule


def _agrees(molecule: Molecule, options: Options) -> Molecule:
    """The molecule, whose bonds tell its charge; refused where the user says another one."""
    for what, wanted, has in (
        ("charge", options.charge, molecule.charge),
        ("spin", options.spin, molecule.spin),
    ):
        if wanted is not None and wanted != has:
            raise DistillError(
                f"{molecule.name} has {what} {has} by its bonds, not {wanted}; change its SMILES "
                f"or its record, --{what} is for coordinates alone."
            )
    return molecule


def _from_line(smiles: str, name: str | None, options: Options) -> Molecule:
    molecule = from_smiles(smiles, name, largest_fragment=options.largest_fragment)
    return _agrees(molecule, options)


def _read_smi(path: Path, options: Options) -> Iterator[Record]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if number == 1 and words[0].lower() in ("smiles", "canonical_smiles", "smi"):
            continue  # a heading
        smiles, name = words[0], words[1] if len(words) > 1 else ""
        if name.startswith("|"):  # CXSMILES, which RDKit reads
            extension, _, name = name[1:].partition("|")
            smiles = f"{smiles} |{extension}|"
        yield _checked(f"{path}, line {number}", _from_line, smiles, name or None, options)


def _read_sdf(path: Path, options: Options) -> Iterator[Record]:
    supplier = Chem.SDMolSupplier()
    text = _text(path)
    supplier.SetData(text, removeHs=False)
    for k, mol in enumerate(quietly(list, supplier)):
        where = f"{path}: molecule {k + 1}"
        if mol is None or not mol.GetNumAtoms():
            reason = _sdf_problem(supplier.GetItemText(k))
            yield DistillError(f"{path}: RDKit cannot read molecule {k + 1}{reason}.")
        else:
            yield _checked(where, _from_record, mol, where, options)


def _from_record(mol: Chem.Mol, where: str, options: Options) -> Molecule:
    """A molecule from a record of an SDF file."""
    title = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
    properties = mol.GetPropsAsDict()
    spatial = bool(mol.GetNumConformers()) and mol.GetConformer().Is3D()
    if len(Chem.GetMolFrags(mol)) > 1:
        if options.largest_fragment:
            parts = Chem.GetMolFrags(mol, asMols=True)
            mol = max(parts, key=lambda part: (part.GetNumHeavyAtoms(), part.GetNumAtoms()))
        elif not spatial:
            raise DistillError(
                f"{where} has several fragments and no 3D coordinates; give one molecule a "
                "record, or --largest-fragment."
            )
    given = mol.GetNumAtoms()
    mol = Chem.AddHs(mol, addCoords=spatial)
    if not spatial:  # in space nothing is open, on paper it may be
        molecule = from_rdkit(mol, title or None)
        chosen = from_smiles(molecule.smiles or "", molecule.name)
        molecule = chosen if chosen.notes else molecule
    else:
        molecule = from_rdkit(mol, title or None, [mol.GetConformer().GetPositions()])
        added = mol.GetNumAtoms() - given
        if added and 1 in molecule.numbers[:given]:
            note = f"{molecule.name}: {added} missing hydrogens were added to its coordinates."
            molecule = replace(molecule, notes=(note,))
    stated = charge_of_properties(properties, where)
    if stated is not None and stated != molecule.charge:
        raise DistillError(
            f"its atoms have charge {molecule.charge}, its data fields say {stated}; give the "
            "charges of the atoms (M  CHG)."
        )
    return _agrees(molecule, options)


def _sdf_problem(record: str) -> str:
    """What RDKit finds wrong with a record."""
    mol = quietly(Chem.MolFromMolBlock, record, sanitize=False, removeHs=False)
    if mol is None or not mol.GetNumAtoms():
        return "; check its record"
    mol.UpdatePropertyCache(strict=False)
    problems = [problem.Message() for problem in quietly(Chem.DetectChemistryProblems, mol)]
    return f": {problems[0].strip()}; check its charges and bonds" if problems else ""


def _read_mol2(path: Path, options: Options) -> Iterator[Record]:
    try:
        found = list(parse(_text(path)))
    except (ValueError, IndexError, KeyError) as error:
        raise DistillError(
            f"{path} cannot be read as a .mol2 ({reason(error)}); mend it, or give an SDF file."
        ) from error
    for k, one in enumerate(found):
        where = f"{path}: molecule {k + 1}"
        yield _checked(where, _from_mol2, one, where, options)


def _from_mol2(one: Mol2, where: str, options: Options) -> Molecule:
    """A molecule from a record of a .mol2 file, whose partial charges add up to its charge."""
    if not one.numbers:
        raise DistillError("it has no atoms; give a molecule.")
    charge = one.formal
    if charge is None and any(one.charges):
        charge = nearly_whole(sum(one.charges))
    if charge is None:
        charge = options.charge or 0
        if options.charge is None and any(one.charges):
            raise DistillError(
                f"its charges add up to {sum(one.charges):g} e, which is no whole number; mend "
                "them, or give an SDF file."
            )
    bare = one.bare()
    if bare is not None:
        raise DistillError(
            f"hydrogens are missing at its atom {bare + 1} ({one.types[bare]}); give a file with "
            "all of them."
        )
    numbers, spin = np.array(one.numbers), options.spin or 1
    check(Molecule(where, numbers, charge, spin, positions=(np.array(one.positions),)))
    mol = with_orders(one.connected(), charge, spin)
    if mol is None:
        raise DistillError(
            f"its atoms and bonds fit no molecule of charge {charge:+d}; give it all of its "
            "hydrogens, and charges that add up to its charge, or give an SDF file."
        )
    mol.SetProp("_Name", one.title)
    return _from_record(mol, where, options)


def _read_xyz(path: Path, options: Options) -> Iterator[Record]:
    bonds, bare = Bonds(), BareNumbers()
    for number, frame in enumerate(frames(_text(path), str(path)), start=1):
        where = f"{path}, frame {number}"
        if frame.problem:
            yield DistillError(f"{where}: {frame.problem}.")
        else:
            yield _checked(where, _from_frame, path, where, frame, options, bonds, bare)


def _from_frame(
    path: Path, where: str, frame: Frame, options: Options, bonds: Bonds, bare: BareNumbers
) -> Molecule:
    """A molecule from a frame of an XYZ file."""
    charge, spin = charge_and_spin(
        frame.atoms, where, comment=frame.comment, charge=options.charge, spin=options.spin
    )
    bare.check(frame, charge)
    name = clean_name(str(frame.info.get("name", _stem(path))))
    return bonds.molecule(name, frame, charge, spin)


class BareNumbers:
    """Tells charge and multiplicity, ``-2 1``, from what counts the frames, ``1 2``."""

    def __init__(self) -> None:
        self._before: dict[bytes, tuple[int, str]] = {}

    def check(self, frame: Frame, charge: int) -> None:
        """Raise DistillError when frames of the same atoms have two charges in bare numbers."""
        if not re.fullmatch(r"\s*[+-]?\d+[\s,]+\d+\s*", frame.comment):
            return
        key = frame.atoms.numbers.tobytes()
        before, text = self._before.setdefault(key, (charge, frame.comment))
        if before != charge:
            raise DistillError(
                f"the comment lines '{text.strip()}' and '{frame.comment.strip()}' of the same "
                "atoms look like two charges; write charge=... spin=... instead."
            )


def _read_pdb(path: Path, options: Options) -> Iterator[Record]:
    models, charge, guessed = read_models(_text(path), str(path))
    bonds = Bonds()
    notes = (guessed,) if guessed else ()
    if None not in (charge, options.charge) and charge != options.charge:
        raise DistillError(
            f"{path} has charge {charge} in its columns 79-80, --charge says {options.charge}; "
            "leave the right one alone."
        )
    total = charge if charge is not None else options.charge or 0
    for number, frame in enumerate(models, start=1):
        found = _checked(
            f"{path}, model {number}",
            bonds.molecule, clean_name(_stem(path)), frame, total, options.spin or 1,
        )  # fmt: skip
        yield (
            found if isinstance(found, DistillError) else replace(found, notes=notes + found.notes)
        )


class Bonds:
    """Guesses bonds from coordinates, once for all frames that connect the same atoms."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Chem.Mol | str] = {}

    def molecule(self, name: str, frame: Frame, charge: int, spin: int) -> Molecule:
        """A molecule from coordinates alone; its bonds are left out where none are found."""
        atoms = frame.atoms
        molecule = Molecule(name, atoms.numbers, charge, spin, positions=(atoms.positions,))
        check(molecule)  # bonds of overlapping or unknown atoms make no sense
        skeleton = connected(atoms.numbers, atoms.positions)
        key = (atoms.numbers.tobytes(), charge, spin, pairs_of(skeleton))
        if key not in self._known:
            mol = with_orders(skeleton, charge, spin) or with_orders(
                connected(atoms.numbers, atoms.positions, crowded=True), charge, spin
            )
            self._known[key] = mol or _no_bonds(name, skeleton, charge, spin)
        known = self._known[key]
        if isinstance(known, str):
            return replace(molecule, notes=(known,))
        mol = Chem.Mol(known)
        mol.GetConformer().SetPositions(atoms.positions)
        stereo_from_space(mol)
        for index, isotope in frame.isotopes.items():
            mol.GetAtomWithIdx(index).SetIsotope(isotope)
        found = from_rdkit(mol)
        return replace(molecule, smiles=found.smiles, rdmol=found.rdmol)


def _no_bonds(name: str, skeleton: Chem.RWMol, charge: int, spin: int) -> str:
    likely = likely_charge(skeleton)
    told = likely is not None and likely != charge and abs(likely) <= 6
    hint = f" (its atoms look like charge {likely})" if told else ""
    return (
        f"{name}: no bonds fit its geometry with charge {charge} and multiplicity {spin}{hint}; "
        "if that is wrong, give --charge and --spin, or an SDF file."
    )


def _stem(path: Path) -> str:
    return path.with_suffix("").stem if path.suffix.lower() == ".gz" else path.stem


def _text(path: Path) -> str:
    """A text file, compressed or not, in any of the encodings that text comes in."""
    raw = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DistillError(f"{path} is no whole gzip file ({error}).") from error
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if "\0" in text or sum(not (c.isprintable() or c.isspace()) for c in text[:1000]) > 10:
        raise DistillError(f"{path} is not a text file.")
    if not text.strip():
        raise DistillError(f"{path} is empty; give a file with at least one molecule.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


READERS: dict[str, Reader] = {
    ".smi": _read_smi,
    ".smiles": _read_smi,
    ".sdf": _read_sdf,
    ".mol": _read_sdf,
    ".mol2": _read_mol2,
    ".xyz": _read_xyz,
    ".extxyz": _read_xyz,
    ".pdb": _read_pdb,
}
