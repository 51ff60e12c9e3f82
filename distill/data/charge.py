"""The charge and the multiplicity that come with coordinates, in all the ways people write them.

(Atoms that a program hands to a teacher or a student: see :mod:`distill.charge`.)

What has one meaning is read; what looks like a charge and is not understood, or contradicts itself,
is refused: a dianion must not be labelled as a neutral molecule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np
from ase import Atoms

from distill.charge import nearly_whole
from distill.errors import DistillError

CHARGE = {
    "charge", "totalcharge", "netcharge", "overallcharge", "molecularcharge", "moleculecharge",
    "molcharge", "systemcharge", "formalcharge", "totalformalcharge", "pubchemtotalcharge",
    "totcharge", "chrg", "chg", "q", "qtot",
}  # fmt: skip
"""Names of the charge of the whole, in small letters and without what is between them."""

MULTIPLICITY = {"multiplicity", "spinmultiplicity", "mult", "multip", "spinmult", "spin", "2s+1"}
"""Names of 2S+1. ``spin`` is one, as with us everywhere."""

UNPAIRED = {"uhf", "unpaired", "nunpaired", "unpairedelectrons", "nunpairedelectrons"}
"""Names of 2S."""

MAGNETIC = {"magmom", "totalmagmom", "totalmagnetization", "magnetization"}
"""Names of the magnetic moment in Bohr magnetons, 2S where it is a whole number, as ASE writes."""

EITHER = {"totalspin"}
"""Names of 2S+1 to some and of 2S to others; the number of electrons fits only one of them."""

SETTINGS = {"nspin", "ispin"}
"""Whether a DFT code treats spin at all."""

NAME = (
    r"(?:2[sS]\+1|(?:[\w\-]*[_\-]|total|tot|net|mol|molecular|formal|system|spin|n|i)?"
    r"(?:charge|chrg|chg|multiplicity|multip|mult|spin|uhf|unpaired(?:[_ ]?electrons)?|magmom|"
    r"magnetization)|q|qtot)"
    r"(?![A-Za-z])"
)
PAIR = re.compile(
    rf"(?<![\w\-.])(?P<key>{NAME})[\"']?(?P<sign>\s*[=:]\s*|\s+(?:is|of)\s+|\s+|$|(?=\W))"
    r"[\"'\[({]?\s*(?P<value>[^\s,;\"'\])}]*)",
    re.IGNORECASE,
)
ALIKE = re.compile(
    r"(?<![\w\-.])(?P<key>[\w\-]*ch(?:arg|r?g)[\w\-]*)\s*[=:]\s*[\[(]?\s*"
    r"(?P<value>[+-]?0*[1-9]\d*)(?![\d.]|,\s*[\d+-]+\.)",
    re.IGNORECASE,
)
"""Other names with a whole number that look like a charge: icharg, chargemult, charge_state."""
QUOTED = re.compile(
    r"""(?P<key>[\w\-.]+)\s*=\s*(?:"(?P<a>[^"]*)"|'(?P<b>[^']*)'|\{(?P<c>[^}]*)\})"""
)
COLUMNS = re.compile(r"Properties\s*=\s*\S+", re.IGNORECASE)
WORDS = re.compile(
    r"(?<![\w\-])(?:(?:mono|di|tri|tetra)?(?:an|cat)ion(?:ic)?|charged|singlet|doublet|triplet|"
    r"quartet|quintet)(?![\w\-])",
    re.IGNORECASE,
)
GAUSSIAN = re.compile(r"\s*([+-]?\d{1,2})[\s,]+(\d{1,2})\s*")
SIGNED = re.compile(
    r"[+-]\d{1,2}\s*"  # -2 alone
    r"|(?:.*\s)?[+-]\d{1,2}[\s,]+\d{1,2}\s*"  # CO3 -2 1
    r"|.*[\s^(]\d[+-]\)?\s*"  # CO3 2-, CO3^2-, CO3(2-)
    r"|\(?[+-]\d{1,2}[\s,;/]+\d{1,2}\)?(?:\s+[^\d\s.+-].*)?"  # -2 1 carbonate, (-2,1)
    r"|.*\([+-]\d\)\s*|.*[A-Za-z]\d+(?:--|\+\+)\s*"  # carbonate (-2), CO3--
)
WRITE = (
    "write charge=... spin=... (the multiplicity 2S+1) on the comment line; label, run and check "
    "also take --charge and --spin"
)


def charge_and_spin(
    atoms: Atoms,
    where: str,
    *,
    comment: str | None = None,
    charge: int | None = None,
    spin: int | None = None,
) -> tuple[int, int]:
    """The charge in e and the multiplicity 2S+1 of a frame; 0 and 1 where nothing is said.

    Read are ``atoms.info`` (or the ``comment`` line itself, which ASE may have torn apart) and
    charges and magnetic moments of the atoms; ``charge`` and ``spin`` are what the user says beside
    the file. ``where`` begins the sentence of the DistillError for what is not understood, and
    for two statements that differ.
    """
    asked = charge is not None, spin is not None
    said, spins = _stated(_written(atoms.info) if comment is None else comment, where, *asked)
    if not said and charge is None:
        said = _of_atoms(atoms, where, "charge")
    total = _one("charge", said + ([charge] if charge is not None else []), where)
    electrons = int(atoms.numbers.sum()) - (total or 0)
    found = [_multiplicity(name, value, electrons, where) for name, value in spins]
    if not found and spin is None:
        found = [1 + abs(moment) for moment in _of_atoms(atoms, where, "magmom")]
    multiplicity = _one("spin", found + ([spin] if spin is not None else []), where)
    return total or 0, 1 if multiplicity is None else multiplicity


def charge_of_properties(properties: Mapping[str, Any], where: str) -> int | None:
    """The charge that a record's data fields state (SDF), None when they state none."""
    stated = [
        _whole("charge", str(value), where)
        for key, value in properties.items()
        if _plain(key) in CHARGE - {"q", "formalcharge"}
    ]
    return _one("charge", stated, where)


def _stated(
    comment: str, where: str, charge_known: bool, spin_known: bool
) -> tuple[list[int], list[tuple[str, str]]]:
    """The charges that a comment line states, and its statements on spin: (name, value)."""
    comment = comment.translate({0x2212: "-", 0x2013: "-", 0xFEFF: ""}).strip()
    pairs, rest = _pairs(comment)
    charges, spins, strange = [], [], []
    for key, value in pairs:
        name = _plain(key)
        if name in CHARGE:
            charges.append(_whole(key, value, where))
        elif name in MULTIPLICITY | UNPAIRED | EITHER:
            spins.append((key, value))
        elif name in MAGNETIC:
            moment = nearly_whole(_number(value) or 0.0)
            if moment:
                spins.append(("unpaired", str(abs(moment))))
        elif name not in SETTINGS:
            strange.append((f"{key} {value}".strip(), "charge" in name or "chrg" in name))
    strange += [(f"{found['key']} {found['value']}", True) for found in ALIKE.finditer(rest)]
    charge_known, spin_known = charge_known or bool(charges), spin_known or bool(spins)
    gaussian = GAUSSIAN.fullmatch(comment)
    if gaussian:
        return [int(gaussian[1])], [("multiplicity", gaussian[2])]
    if not charge_known and not spin_known:
        words = WORDS.search(rest)
        if words:
            strange.append((words[0], True))
        elif SIGNED.fullmatch(rest) and not pairs:
            short = rest.split(maxsplit=max(0, len(rest.split()) - 2))[-1]
            strange.append((rest if rest[:1] in "(+-" else short, True))
    for text, of_charge in strange:
        if not (charge_known if of_charge else spin_known):
            _refuse(where, f"'{text}' looks like a charge or a spin and is not understood")
    return charges, spins


def _pairs(comment: str) -> tuple[list[tuple[str, str]], str]:
    """What is written of charge and spin: (name, value); and the rest of the comment."""
    try:
        loaded = json.loads(comment) if comment.startswith("{") else None
    except ValueError:
        loaded = None
    if isinstance(loaded, dict):
        comment = _written(loaded)
    pairs = []
    for found in QUOTED.finditer(comment):
        if re.fullmatch(NAME, found["key"], re.IGNORECASE):
            value = next(v for v in (found["a"], found["b"], found["c"]) if v is not None)
            pairs.append((found["key"], value.strip()))
    comment = COLUMNS.sub(" ", QUOTED.sub(" ", comment))
    for found in PAIR.finditer(comment):
        key, value, separated = found["key"], found["value"], found["sign"].strip() in ("=", ":")
        # in running text only a number is a value: "the spin of it", "mult. 3"
        short = _plain(key) in MAGNETIC | {"chg", "q", "qtot", "mult", "multip", "uhf", "unpaired"}
        if separated or _number(value) is not None or not short:
            pairs.append((key, value))
    return pairs, PAIR.sub(" ", comment).strip()


def _written(info: Mapping[str, Any]) -> str:
    """``atoms.info`` as a comment line again: ASE reads a word alone as a name that is true."""

    def words() -> Iterable[str]:
        for key, value in info.items():
            if value is True and not re.fullmatch(NAME, str(key), re.IGNORECASE):
                yield str(key)
            elif isinstance(value, str):
                yield f'{key}="{value}"'
            elif np.ndim(value) == 0 or np.size(value) == 1:
                yield f"{key}={np.asarray(value).reshape(-1)[0]}"
            elif re.fullmatch(NAME, str(key), re.IGNORECASE):
                yield f'{key}="{value}"'

    return " ".join(words())


def _of_atoms(atoms: Atoms, where: str, what: str) -> list[int]:
    """The sum over the atoms' charges or magnetic moments, where there are any."""
    results = getattr(atoms.calc, "results", {}) if atoms.calc is not None else {}
    for key, column in [*atoms.arrays.items(), *results.items()]:
        if what not in key.lower() or np.shape(column) != (len(atoms),):
            continue
        if not np.issubdtype(np.asarray(column).dtype, np.number) or not np.any(column):
            continue
        total = float(np.sum(column))
        whole = nearly_whole(total)
        if whole is None:
            _refuse(where, f"the column {key} adds up to {total:.2f}, which is no whole number")
        return [whole]
    return []


def _multiplicity(key: str, text: str, electrons: int, where: str) -> int:
    name, value = _plain(key), _number(text)
    if name in EITHER and value is not None and (2 * value) % 2 == 1:
        return round(2 * value) + 1  # S itself
    whole = _whole(key, text, where)
    if name in UNPAIRED or (name in EITHER and (electrons - whole) % 2 == 0):
        whole += 1
    if whole < 1:
        _refuse(where, f"{key} is {text}, but a multiplicity 2S+1 is 1 or more")
    return whole


def _number(text: str) -> float | None:
    """A number as people write it: -2, +1, 2-, -2.0; None for anything else."""
    turned = re.fullmatch(r"(\d+)([+-])", text)
    if turned:
        text = turned[2] + turned[1]
    text = text.rstrip(".")
    return float(text) if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else None


def _whole(key: str, text: str, where: str) -> int:
    value = _number(text)
    if value is None or value != round(value):
        _refuse(where, f"{key} must be a whole number, not '{text}'")
    return round(value)


def _one(what: str, values: list[int], where: str) -> int | None:
    """The one value of all that is said."""
    if len(set(values)) > 1:
        both = " and ".join(str(value) for value in dict.fromkeys(values))
        raise DistillError(
            f"{where}: two statements on the {what} differ, {both}; leave the right one alone."
        )
    return values[0] if values else None


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", key.lower())


def _refuse(where: str, problem: str) -> NoReturn:
    raise DistillError(f"{where}: {problem}; {WRITE}.")
