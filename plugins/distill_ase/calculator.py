"""``StudentCalculator``: a student as an ASE calculator."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from distill.charge import charge_of, spin_of
from distill.engine_arguments import check_choice, check_device, check_skin, check_threads
from distill.errors import DistillError
from distill.kernels import choose_backend, kernel_on
from distill.student import Student, load_student
from distill.student.latent import Alarm, rms
from distill_ase.backends import Backend, KernelBackend, TorchBackend
from distill_ase.results import Results

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


class StudentCalculator(Calculator):
    """Energy, energies, forces and stress of a student, with and without periodic boundaries.

    student: a shipped name, a file, or a Student (which is copied). device: a torch device.
    dtype: "float32" or "float64", the precision of the network. backend: "kernel" (the fused one
    of CPU or GPU), "torch", or "auto", which takes the fastest that is there. skin: Å beyond the
    cutoff that the neighbour list holds; it is built anew when an atom has moved half of it.
    threads: how many the CPU kernel may use on large systems (None: as many as torch).

    ``results["uncertainty"]`` is the force error (eV/Å) to be expected of this geometry, the root
    mean square of ``results["uncertainties"]`` (N,), the atoms'; neither is there for a student
    that cannot tell. They are read by these names but stand beside the properties that ASE knows,
    which it copies and writes to files: keep them in ``atoms.info`` yourself. A UserWarning when an
    atom is unlike all that the student has learned, at the first geometry of that kind and when
    their number has grown tenfold; ``alarm`` has the counts.

    The energy includes the isolated atoms' energies. The stress (Voigt, eV/Å^3) is given when the
    cell has a volume. Raises DistillError for unknown elements, atoms closer than 0.3 Å,
    coordinates that are not finite, an empty system, and a charge (``atoms.info["charge"]``, or
    the sum of the initial charges) that is no whole number or that the student has not learned.
    It may be pickled and copied.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        student: str | Path | Student = "tiny",
        device: str = "cpu",
        dtype: str = "float32",
        backend: str = "auto",
        skin: float = 1.0,
        threads: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_choice("dtype", dtype, PRECISIONS)
        skin = check_skin(skin)
        threads = None if threads is None else check_threads(threads)
        device = check_device(device)
        self.backend = choose_backend(backend, device, dtype)
        # what is made in inference mode could not be used outside of it
        with torch.inference_mode(False):
            own = copy.deepcopy(student) if isinstance(student, Student) else load_student(student)
            own = own.eval().requires_grad_(False)
            self.student: Student = own.to(device=device, dtype=PRECISIONS[dtype])
            self._checked: NDArray[np.int64] | None = None
            self.alarm = Alarm(self.student.latent) if self.student.latent else None
            self._evaluate: Backend
            if self.backend == "torch":
                self._evaluate = TorchBackend(self.student, device, skin)
            else:
                kernel = kernel_on(device, self.student, dtype, skin, threads)
                self._evaluate = KernelBackend(kernel)

    @property
    def rebuilds(self) -> int:
        """How often the neighbour list has been built."""
        return self._evaluate.rebuilds

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What has changed since the last calculation, of all that the student looks at.

        ASE's own comparison, with tolerances, takes longer than a step of a small student.
        """
        last = self.atoms
        if last is None:
            return list(all_changes)
        pairs = {
            "positions": (last.positions, atoms.positions),
            "numbers": (last.numbers, atoms.numbers),
            "cell": (last.cell.array, atoms.cell.array),
            "pbc": (last.pbc, atoms.pbc),
        }
        changed = [name for name, (before, now) in pairs.items() if not np.array_equal(before, now)]
        # no inputs of the student, but it refuses some; copies of numbers and texts are the same
        changed += [k for k in ("charge", "spin") if last.info.get(k) is not atoms.info.get(k)]
        before, now = (a.arrays.get("initial_charges") for a in (last, atoms))
        if before is not now and not np.array_equal(before, now):  # type: ignore[arg-type]
            changed.append("initial_charges")
        return changed

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """ASE's entry: fills ``results`` with every property at once."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms  # a copy that ASE keeps
        if atoms is None:
            raise DistillError("The calculator has no atoms yet; set atoms.calc to it.")
        if len(atoms) == 0:
            raise DistillError("The system has no atoms; give it at least one.")
        if self._checked is None or not np.array_equal(self._checked, atoms.numbers):
            self.student.check_elements(atoms.numbers)
            self._checked = atoms.numbers.copy()
        self.student.check_charge(charge_of(atoms))
        spin_of(atoms)  # no input of the student, but nonsense is refused
        energies, forces, virial, distances = self._evaluate(atoms)
        energy = float(energies.sum())
        self.results = results = Results(
            energy=energy, free_energy=energy, energies=energies, forces=forces
        )
        if self.alarm is not None and distances is not None:
            errors = self.alarm.latent.errors(distances)
            results.beside = {"uncertainties": errors, "uncertainty": rms(errors)}
            self.alarm(distances, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        volume = abs(np.linalg.det(atoms.cell.array))
        if volume > 0:
            self.results["stress"] = full_3x3_to_voigt_6_stress(virial / volume)
