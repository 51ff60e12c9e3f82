"""Who is judged: a student, a teacher or any ASE calculator, and the energies that it gives."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.units import kcal, mol
from ase_teacher import TeacherCalculator
from rich.console import Console

from distill.errors import DistillError, reason
from distill.student.file import student_path
from distill.teacher.base import XTB_NAMES
from distill_ase import StudentCalculator

KCAL = kcal / mol
SAVED_EVERY = 20.0
"""Seconds."""
_screen = Console(stderr=True)


def calculator_of(name: str, dtype: str = "float32") -> Calculator:
    """An ASE calculator.

    name: a student's (a shipped one, or a file), a teacher's, or ``package.module:Class``. dtype:
    of a student; others have their own. Raises DistillError for a name of nothing.
    """
    if is_student(name):
        return StudentCalculator(name, dtype=dtype)
    return TeacherCalculator(name if _is_teacher(name) else f"ase:{name}")


def is_student(name: str) -> bool:
    """Whether it is no teacher's name, and no calculator's."""
    return Path(name).exists() or not (_is_teacher(name) or ":" in name)


def _is_teacher(name: str) -> bool:
    return name in XTB_NAMES or name.startswith(("ase:", "pyscf:", "orb-"))


class Judged:
    """Energies of one of them, which are kept as long as it is the same.

    kept: by the name and version of whoever gives energies, and then by structure (eV); what is
    found is added to it, and ``save`` called now and then.
    """

    def __init__(
        self,
        name: str,
        kept: dict[str, dict[str, float]] | None = None,
        save: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.calculator = calculator_of(name)
        self.failed: dict[str, str] = {}
        self.kept = {} if kept is None else kept.setdefault(self.identity(), {})
        self.save = save

    def identity(self) -> str:
        """Name, and what tells one version of it from another."""
        if isinstance(self.calculator, TeacherCalculator):
            teacher = self.calculator.teacher
            return f"{teacher.name}, {teacher.version}"
        return (
            f"{self.name}, {hashlib.sha256(student_path(self.name).read_bytes()).hexdigest()[:12]}"
        )

    def energies(self, structures: dict[str, Atoms]) -> dict[str, float]:
        """kcal/mol; why one that is not there could not be done is in ``failed``.

        Raises DistillError when none could.
        """
        found, saved = {}, time.monotonic()
        for k, (key, atoms) in enumerate(structures.items()):
            digest = _digest(atoms)
            if digest not in self.kept:
                try:
                    # not get_potential_energy, which takes two charges of one geometry for the same
                    self.calculator.calculate(atoms, ["energy"])
                    energy = float(self.calculator.results["energy"])
                    if not np.isfinite(energy):
                        raise ValueError("the energy is not finite")
                    self.kept[digest] = energy
                except Exception as error:  # calculators raise what they like
                    self.failed[key] = reason(error)[:200]
                    continue
                if time.monotonic() - saved > SAVED_EVERY:
                    self.save()
                    saved = time.monotonic()
                    _screen.print(f"{self.name}: {k + 1} of {len(structures)}", highlight=False)
            found[key] = self.kept[digest] / KCAL
        self.save()
        if structures and not found:
            raise DistillError(
                f"{self.name} can do none of the {len(structures)} structures "
                f"({next(iter(self.failed.values()))}); is it the right one?"
            )
        return found


def _digest(atoms: Atoms) -> str:
    """Of all that an energy depends on."""
    state = f"{atoms.info.get('charge', 0)} {atoms.info.get('spin', 1)}".encode()
    parts = (atoms.numbers.astype(np.int64).tobytes(), atoms.positions.tobytes(), state)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
