"""Errors of energies, of sets that a `Truth` holds: a student's and its teacher's, kcal/mol.

Conformers and torsions have no zero of energy in common with the reference. Of a molecule's
conformers each method's mean is taken off, of a torsion's scan its energy where the reference is
lowest. A conformer set's numbers are means (R2: medians) over molecules of the molecules' mean
absolute errors, and a torsion set's over scans; those of reactions are over reactions.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from yardstick.truth import Points, Truth

FEWEST = 3
"""Conformers that a molecule must have for an R2."""
Energies = Mapping[str, float]
"""kcal/mol; a structure that a method cannot do is not there."""


def score(truth: Truth, student: Energies, teacher: Energies) -> dict[str, dict[str, Any]]:
    """A row for each set: ``n`` members judged, ``left_out``; mean absolute errors ``mae_student``
    and ``mae_teacher`` to the reference, ``student_to_teacher`` with its ``median`` and ``worst``
    member; for conformers ``r2_student``, ``r2_teacher`` and ``r2_student_teacher``; and
    ``members``, what was judged one by one. A set without a member that can be judged has n = 0.
    """
    able = student.keys() & teacher.keys()
    found = {}
    for kind, molecules in truth.conformers.items():
        members = {}
        for name, points in molecules.items():
            points = [point for point in points if point[0] in able]
            if len(points) >= FEWEST:
                members[name] = _conformers(points, student, teacher)
        found[f"conformers {kind}"] = _row(members, len(molecules))
    for kind, reactions in truth.reactions.items():
        members = {}
        for k, reaction in enumerate(reactions):
            if able.issuperset(reaction.systems):
                pairs = list(zip(reaction.stoichiometry, reaction.systems, strict=True))
                s = sum(factor * student[key] for factor, key in pairs)
                t = sum(factor * teacher[key] for factor, key in pairs)
                e = reaction.reference
                # the file may call two of them the same
                name = f"{reaction.name} ({k})" if reaction.name in members else reaction.name
                members[name] = _errors(*(np.array([x]) for x in (s, t, e))) | {
                    "student": s, "teacher": t, "reference": e,
                }  # fmt: skip
        found[kind] = _row(members, len(reactions))
    if truth.torsions:
        members = {}
        for name, points in truth.torsions.items():
            if able.issuperset(key for key, _ in points):
                s, t, e = _arrays(points, student, teacher)
                k = e.argmin()
                members[name] = _errors(s - s[k], t - t[k], e - e[k])
        found["torsions"] = _row(members, len(truth.torsions))
    return found


def _conformers(points: Points, student: Energies, teacher: Energies) -> dict[str, float]:
    s, t, e = (x - x.mean() for x in _arrays(points, student, teacher))
    return _errors(s, t, e) | {
        "r2_student": r2(s, e), "r2_teacher": r2(t, e), "r2_student_teacher": r2(s, t),
    }  # fmt: skip


def _arrays(points: Points, student: Energies, teacher: Energies) -> tuple[np.ndarray, ...]:
    rows = [(student[key], teacher[key], energy) for key, energy in points]
    return tuple(np.array(rows, float).T)


def _errors(s: np.ndarray, t: np.ndarray, e: np.ndarray) -> dict[str, float]:
    return {
        "mae_student": float(abs(s - e).mean()),
        "mae_teacher": float(abs(t - e).mean()),
        "student_to_teacher": float(abs(s - t).mean()),
    }


def _row(members: dict[str, dict[str, float]], of: int) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(members), "left_out": of - len(members)}
    if not members:
        return row
    columns = {
        key: np.array([m[key] for m in members.values()]) for key in next(iter(members.values()))
    }
    for key in ("mae_student", "mae_teacher", "student_to_teacher"):
        row[key] = float(columns[key].mean())
    row["median"] = float(np.median(columns["student_to_teacher"]))
    row["worst"] = float(columns["student_to_teacher"].max())
    for key in ("r2_student", "r2_teacher", "r2_student_teacher"):
        if key in columns:
            defined = columns[key][np.isfinite(columns[key])]
            row[key] = float(np.median(defined)) if len(defined) else None
    return {**row, "members": members}


def r2(a: np.ndarray, b: np.ndarray) -> float:
    """The square of Pearson's correlation; NaN where one of them is flat."""
    if np.std(a) < 1e-6 or np.std(b) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1] ** 2)
