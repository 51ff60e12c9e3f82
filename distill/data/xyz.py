"""XYZ files as people have them: plain, extended, QM9's, with labels or numbers for symbols."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import key_val_str_to_dict

from distill.elements import ELEMENTS
from distill.errors import DistillError

ISOTOPES = {"D": 2, "T": 3}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD]([+-]?\d+))?|[+-]?(nan|inf|infinity)", re.I)
NOT_ANGSTROM = re.compile(
    r"(?<![/\w])bohrs?(?!\w)|(?:coord\w*|positions?|geometry)\s+in\s+(?:a\.?u\b|atomic units|nm\b)",
    re.IGNORECASE,
)
"""A comment that says that the coordinates are not in Å."""
QM9_LINES = 3
"""Frequencies, SMILES and InChI stand behind the atoms of QM9's own files."""


@dataclass
class Frame:
    """One frame: its atoms, its comment line as it is and as ASE reads it; isotopes by index.

    ``problem`` is what is wrong with it; the atoms are none then.
    """

    atoms: Atoms
    comment: str
    info: dict[str, Any] = field(default_factory=dict)
    isotopes: dict[int, int] = field(default_factory=dict)
    problem: str = ""


def frames(text: str, where: str) -> Iterator[Frame]:
    """The frames of an XYZ file; DistillError where the file itself goes out of step."""
    lines = text.splitlines()
    at, before, found = 0, 0, False
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        count = lines[at].split()[0]
        if not count.isdecimal() or len(lines[at].split()) > 1:
            if found:
                why = f"a frame should begin there; is the number on line {before + 1} right?"
            else:
                why = "an XYZ file begins with the number of atoms."
            raise DistillError(
                f"{where} is not a readable XYZ file: line {at + 1} is '{lines[at].strip()[:40]}', "
                f"but {why}"
            )
        size = int(count)
        comment = lines[at + 1] if at + 1 < len(lines) else ""
        body = lines[at + 2 : at + 2 + size]
        while body and not body[-1].strip():
            body.pop()
        if len(body) < size:
            raise DistillError(
                f"{where} is not a readable XYZ file: line {at + 1} says {size} atoms, but only "
                f"{len(body)} follow."
            )
        yield _frame(body, comment, at + 3)
        found, before = True, at
        at += 2 + size
        if comment.startswith("gdb "):
            at += QM9_LINES


def _frame(body: list[str], comment: str, first: int) -> Frame:
    none = Frame(Atoms(), comment)
    if not body:
        none.problem = "it has 0 atoms; remove it, or give its atoms"
        return none
    try:
        info = key_val_str_to_dict(comment)
    except Exception:  # of a free text ASE may make nothing
        info = {}
    columns = _columns(str(info.get("Properties", "")))
    if columns is None:
        none.problem = "its Properties= have no species:S:1 (or Z:I:1) and pos:R:3"
        return none
    other = NOT_ANGSTROM.search(comment)
    if other:
        none.problem = f"its comment says '{other[0]}'; write coordinates in Å, and take that away"
        return none
    if _periodic(comment, info):
        none.problem = "it is periodic; a dataset holds molecules without a cell"
        return none
    symbols, rows = [], []
    for number, line in enumerate(body, start=first):
        words = [word.rstrip(",;") for word in line.split()]
        try:
            symbols.append(words[columns["species"]])
            rows.append([_float(word) for word in words[columns["pos"] : columns["pos"] + 3]])
            if len(rows[-1]) < 3:
                raise ValueError("it needs a symbol and three coordinates")
        except (ValueError, IndexError) as error:
            why = error if isinstance(error, ValueError) else "it needs three coordinates"
            none.problem = f"line {number} is '{line.strip()[:60]}', which is no atom: {why}"
            return none
    try:
        elements = elements_of(symbols)
    except ValueError as error:
        none.problem = str(error)
        return none
    atoms = Atoms([number for number, _ in elements], rows)
    isotopes = {k: isotope for k, (_, isotope) in enumerate(elements) if isotope}
    for name, column in columns.items():
        if name not in ("species", "pos") and re.search("charge|magmom", name, re.IGNORECASE):
            try:
                values = [_float(line.split()[column]) for line in body]
            except (ValueError, IndexError):
                none.problem = f"its column {name} holds something else than numbers"
                return none
            atoms.set_array(name, np.array(values))
    return Frame(atoms, comment, info, isotopes)


def _columns(properties: str) -> dict[str, int] | None:
    """Where each property begins in a line."""
    if not properties:
        return {"species": 0, "pos": 1}
    parts, at, found = properties.split(":"), 0, {}
    for name, _, width in zip(parts[::3], parts[1::3], parts[2::3]):
        found[{"Z": "species", "numbers": "species", "element": "species", "symbols": "species",
               "positions": "pos"}.get(name, name)] = at  # fmt: skip
        at += int(width) if width.isdecimal() else 1
    return found if "species" in found and "pos" in found else None


def _periodic(comment: str, info: dict[str, Any]) -> bool:
    periodic = info.get("pbc")
    if periodic is None:
        return "lattice" in comment.lower() and "Lattice" in info
    return bool(np.any(periodic)) if not isinstance(periodic, str) else "T" in periodic.upper()


def _float(word: str) -> float:
    """A number, also in Fortran's (1.0D-3) and Mathematica's (1.0*^-3) notation."""
    word = word.replace("*^", "e")
    if not NUMBER.fullmatch(word):
        point = "; write a decimal point" if re.fullmatch(r"[+-]?\d*,\d+", word) else ""
        raise ValueError(f"'{word}' is no number{point}")
    return float(word.lower().replace("d", "e"))


def elements_of(labels: list[str]) -> list[tuple[int, int]]:
    """Atomic number and isotope (0: the natural mixture) of each atom of a molecule.

    Labels are symbols in any case, atomic numbers, D and T, or names as C1, Cl_3, HB2 and CA; that
    CA is a carbon and not calcium is seen from the other atoms' names. ValueError where a label
    tells no element.
    """
    named = any(_is_name(label) for label in labels)
    return [_element(label, named) for label in labels]


def _letters(label: str) -> str:
    found = re.match(r"[A-Za-z]+", label)
    return found[0] if found else ""


def _is_name(label: str) -> bool:
    """Whether a label can only be an atom's name (CB, HG1), not a symbol in some case."""
    letters = _letters(label)
    two = letters[:2].capitalize()
    return len(letters) > 1 and (two not in atomic_numbers or len(letters) > 2)


def _element(label: str, named: bool) -> tuple[int, int]:
    if label.isdecimal():
        if not 0 < int(label) < 119:
            raise ValueError(f"'{label}' is no atomic number")
        return int(label), 0
    gaussian = re.fullmatch(r"([A-Za-z]+)\(iso=(\d+)\)", label, re.IGNORECASE)
    if gaussian:
        return _element(gaussian[1], named)[0], int(gaussian[2])
    letters = _letters(label)
    if not re.fullmatch(r"[\w.'*+]*(-?\d*[+-]?)", label) or re.search("bq|gh", label, re.I):
        letters = ""
    two, one = letters[:2].capitalize(), letters[:1].upper()
    known = atomic_numbers.get(two, 0) if len(letters) > 1 else 0
    if letters.upper() in ISOTOPES:
        return 1, ISOTOPES[letters.upper()]
    as_written = letters == two  # Cl, Ca: the case tells
    if known and (known in ELEMENTS or (as_written and len(letters) == 2) or not named):
        return known, 0
    if atomic_numbers.get(one, 0) in ELEMENTS:
        return atomic_numbers[one], 0
    if known or atomic_numbers.get(one, 0):
        return known or atomic_numbers[one], 0
    raise ValueError(f"'{label}' is neither an element's symbol nor its atomic number")
