"""Charge and multiplicity of the Atoms that a teacher or a student is handed.

What people write into files, in many more ways, is read by :mod:`distill.data.charge`.
"""

import math
from typing import Any

from ase import Atoms

from distill.errors import DistillError

ROUNDED = 0.05
"""Partial charges (e), printed with few digits, add up to a whole number within this."""


def charge_of(atoms: Atoms) -> int | None:
    """Charge in e: of ``atoms.info["charge"]``, else the sum of the initial charges; None where
    neither is given. DistillError for what is no whole number."""
    charge = whole_number(atoms, "charge")
    if charge is not None or not atoms.has("initial_charges"):
        return charge
    total = float(atoms.arrays["initial_charges"].sum())
    whole = nearly_whole(total)
    if whole is None:
        raise DistillError(
            f"The initial charges add up to {total:g} e, which is no whole number; say the charge: "
            'atoms.info["charge"] = 0, for example.'
        )
    return whole


def nearly_whole(total: float) -> int | None:
    """The whole number that values of the atoms add up to, but for rounding; None for no such."""
    return round(total) if math.isfinite(total) and abs(total - round(total)) <= ROUNDED else None


def spin_of(atoms: Atoms) -> int | None:
    """Multiplicity 2S+1 of ``atoms.info["spin"]``, None where it is not given. DistillError for
    what is no whole number from 1 on."""
    spin = whole_number(atoms, "spin")
    if spin is not None and spin < 1:
        raise DistillError(
            f'atoms.info["spin"] is {spin}, but it is the multiplicity 2S+1; give 1 for a singlet, '
            "2 for a doublet."
        )
    return spin


def whole_number(atoms: Atoms, key: str) -> int | None:
    """An entry of ``atoms.info``: a number or its text; None where it is not there or None."""
    given: Any = atoms.info.get(key)
    return None if given is None else as_whole(given, f'atoms.info["{key}"]', key)


def as_whole(given: Any, name: str, key: str) -> int:
    """A charge or spin, a number or its text; DistillError, which calls it ``name``, for what is
    no whole number."""
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not number.is_integer():  # neither are NaN and infinity
        raise DistillError(
            f"{name} is {given!r}; give a whole number, as in "
            f"{name} = {1 if key == 'spin' else -1}."
        )
    return int(number)


def check_charge(charge: int | None, known: Any) -> None:
    """DistillError when none of the ``known`` charges (None: nothing is known of them) is this."""
    if known and charge is not None and charge not in known:
        raise DistillError(
            f"The student has learned molecules of charge {', '.join(map(str, known))} only, "
            f"not {charge:+d}; train one on data that has the charge."
        )
