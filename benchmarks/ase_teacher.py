"""A teacher as an ASE calculator, for what ASE can do with one: optimize, vibrate."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from distill.teacher import TeacherSpec


class TeacherCalculator(Calculator):
    """Energy (eV) and forces (eV/Å). RuntimeError where the teacher has no answer."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, name: str = "gfn2-xtb") -> None:
        super().__init__()
        self.teacher = TeacherSpec(name).load()

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        (label,) = self.teacher.label([atoms])
        if label.error:
            raise RuntimeError(label.error)
        self.results = {"energy": label.energy, "forces": np.asarray(label.forces)}
