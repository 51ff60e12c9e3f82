"""The molecules of a run: one, or a series."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distill.data.explore import first_geometries
from distill.data.molecules import Molecule, read_molecules
from distill.data.read import listed, told
from distill.errors import DistillError
from distill.run.settings import RunSettings
from distill.student.student import Student

MOST = 50
"""Molecules that one run makes a student of."""
RESERVED = ("work",)
LONGEST = 60


@dataclass(frozen=True)
class Series:
    """One molecule or several. notes: what the user should know of how they were read."""

    molecules: tuple[Molecule, ...]
    notes: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        return len(self.molecules) == 1

    @property
    def name(self) -> str:
        return self.molecules[0].name if self.alone else f"{len(self.molecules)} molecules"

    def folder(self, molecule: Molecule, out: Path) -> Path:
        """Where its MD goes: the run's folder, and in a series one of its own there."""
        return out if self.alone else out / self._folders[molecule.name]

    @cached_property
    def _folders(self) -> dict[str, str]:
        names = [molecule.name for molecule in self.molecules]
        return dict(zip(names, safe_names(names)))


def read_series(settings: RunSettings, student: Student, skip_bad: bool = False) -> Series:
    """The molecules that the settings name; DistillError names all that cannot be used, or with
    ``skip_bad`` they are left out."""
    skipped: list[str] | None = [] if skip_bad else None
    molecules = read_molecules(
        settings.source,
        charge=settings.charge,
        spin=settings.spin,
        largest_fragment=settings.largest_fragment,
        skipped=skipped,
    )
    if len(molecules) > MOST:
        raise DistillError(
            f"{settings.source} holds {len(molecules)} molecules, and `distill run` makes a "
            f"student of {MOST} at most; for more use `distill label`, then `distill train`."
        )
    good, bad = [], []
    for molecule in molecules:
        try:
            student.check_elements(molecule.numbers)
            first_geometries(molecule, 1, settings.seed)
        except DistillError as error:
            bad.append(str(error) if molecule.name in str(error) else f"{molecule.name}: {error}")
        else:
            good.append(molecule)
    if bad and (skipped is None or not good):
        raise DistillError(told(bad, len(good)))
    bad = [*(skipped or []), *bad]
    seen: dict[tuple[str, int], str] = {}
    twice = [
        f"{m.name} is the same molecule as {first}."
        for m in good
        if m.smiles and (first := seen.setdefault((m.smiles, m.charge), m.name)) != m.name
    ]
    notes = [f"{len(bad)} left out:\n{listed(bad)}"] if bad else []
    return Series(tuple(good), (*notes, *twice, *(note for m in good for note in m.notes)))


def safe_names(names: Sequence[str]) -> list[str]:
    """Names for folders, in the same order: no two alike, upper and lower case being the same, and
    none that a file system or the run's own folder would mind."""
    found: list[str] = []
    taken = set(RESERVED)
    for name in names:
        plain = re.sub(r"[^\w+-]+", "_", name, flags=re.ASCII).strip("_-")[:LONGEST] or "molecule"
        safe, k = plain, 1
        while safe.lower() in taken:
            k += 1
            safe = f"{plain}-{k}"
        taken.add(safe.lower())
        found.append(safe)
    return found
