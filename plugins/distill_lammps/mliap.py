"""``StudentMLIAP``: a student as a unified model of LAMMPS' ML-IAP package.

``pair_style mliap unified FILE 1``, FILE written by `distill export`. LAMMPS hands over its full
neighbour list of owned and ghost atoms; ghosts reach as many cutoffs away as the student has
layers, so that no rank needs another one's features.
"""

import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from distill import __version__
from distill.errors import DistillError
from distill.kernels import choose_backend
from distill.student.file import load_student
from distill.student.neighbours import CLOSEST
from distill_lammps import failing, instance
from distill_lammps.backends import KernelBackend, TorchBackend

FORMAT = 2
OLDEST = 20230802
"""LAMMPS' version: unified models with ghost atoms came with the stable one of 2 August 2023."""
UNITS = {"metal": 1.0, "real": 23.060549}
"""eV in LAMMPS' units of energy, as LAMMPS has them; lengths are Å in both."""
SKIN = 2.0
"""Å, LAMMPS' default in these units."""
MONTE_CARLO = ("FixGCMC:", "FixWidom:", "FixChargeRegulation:")
"""Groups of atoms that a fix of Monte Carlo with full energies takes out."""
NO_PAIRS = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, 3))
PAIRWISE_VIRIAL = 1 | 4
"""Bits of `vflag` that ask for the virial pair by pair: VIRIAL_PAIR and VIRIAL_ATOM."""


class StudentMLIAP:
    """What LAMMPS unpickles. Attributes without a comment are read by LAMMPS.

    file: the student file's bytes. dtype: precision of the network, "float32" or "float64".
    backend: "auto", "kernel" or "torch".
    """

    ndescriptors = 1
    nparams = 1
    # every element: so that one the student does not know is refused with a sentence of ours
    element_types = chemical_symbols[1:]

    def __init__(self, file: bytes, dtype: str = "float32", backend: str = "auto"):
        state = {"format": FORMAT, "file": file, "dtype": dtype, "backend": backend}
        self.__setstate__({**state, "sum": checksum(state)})

    def __getstate__(self) -> dict[str, Any]:
        return {**self._state, "version": __version__}

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (failing.Reading(), self.__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        failing.speak_plainly()
        self._state = state
        self._interface: object = None
        self._trouble = ""
        self._lammps: Any = None
        self.rank, self.size, self.energy_unit = 0, 1, 1.0
        self._run = -1
        self.rcutfac = 2.5
        # raised when LAMMPS connects us, where all ranks can be told
        if state.get("format") != FORMAT:
            self._trouble = (
                f"the file is of format {state.get('format')} (mlff-distiller "
                f"{state.get('version', 'unknown')}), this is mlff-distiller {__version__}, which "
                f"reads format {FORMAT}; write it again: distill export NAME --format mliap"
            )
            return
        if state["sum"] != checksum(state):
            self._trouble = failing.DAMAGED
            return
        try:
            self.student = student_of(state["file"])
            self.layers, self.cutoff = self.student.config.layers, self.student.config.cutoff
            self.rcutfac = self.cutoff / 2  # LAMMPS doubles it
            self._slow = TorchBackend(self.student, state["dtype"])
            self._fast: KernelBackend | None = None
            if choose_backend(state["backend"], "cpu") == "kernel":
                self._fast = KernelBackend(self.student, state["dtype"])
        except DistillError as error:
            self._trouble = str(error)

    def check(self) -> None:
        """Raises DistillError where LAMMPS would be told of one when it connects the model."""
        if self._trouble:
            raise DistillError(self._trouble)

    # -- what LAMMPS calls -------------------------------------------------------------------------
    @property
    def interface(self) -> object:
        """Set by LAMMPS when it has connected the model: `pair_style`."""
        return self._interface

    @interface.setter
    def interface(self, interface: object) -> None:
        self._interface = interface
        self._lammps = instance.find_lammps(interface, self)
        if self._lammps is not None:
            self.rank = self._lammps.extract_setting("world_rank")
            self.size = self._lammps.extract_setting("world_size")
        if self._trouble:
            failing.everywhere(self._trouble, self.rank)
        if self._lammps is None:
            return
        version, units = self._lammps.version(), self._lammps.extract_global("units")
        if version < OLDEST:
            failing.everywhere(
                f"this LAMMPS is of {version}; use one of 2 August 2023 or later: "
                "python -m distill_lammps build",
                self.rank,
            )
        if units not in UNITS:
            failing.everywhere(
                f"the input says 'units {units}'; a student needs 'units metal' or 'units real'",
                self.rank,
            )
        self.energy_unit = UNITS[units]
        # asked for here, so that no input need say it; one rank does without
        if self.size > 1 and self.layers > 1:
            wanted = self.layers * self.cutoff + SKIN
            given = instance.ghost_cutoff(self._lammps) or 0.0
            self._lammps.command(f"comm_modify cutoff {max(wanted, given)}")

    def compute_descriptors(self, data: Any) -> None:
        """Nothing: there are none."""

    def compute_gradients(self, data: Any) -> None:
        """Nothing: compute_forces does it all."""

    def compute_forces(self, data: Any) -> None:
        """One step: energies of the owned atoms, forces on all, the virial."""
        try:
            self._compute(data)
        except Exception as error:
            # the other ranks may know nothing of it
            failing.here(error, self.rank, self.size)

    def _compute(self, data: Any) -> None:
        owned = data.nlistatoms
        if data.nlocal == 0:
            data.energy = 0.0  # arrays of a rank without atoms may not be there
            return
        numbers = data.elems + np.int32(1)
        pairwise = bool(data.vflag & PAIRWISE_VIRIAL)
        images = (None, None) if pairwise or self._fast is None else self._images(data.ntotal)
        self._check_run(data, numbers, images[0] is not None, pairwise)
        i, j, vectors = (data.pair_i, data.jatoms, data.rij) if data.npairs else NO_PAIRS
        if pairwise or self._fast is None:
            answer = self._slow(numbers, owned, i, j, vectors, pairwise)
        else:
            answer = self._fast(numbers, owned, i, j, vectors, *images)
        if answer.closest < CLOSEST:
            raise DistillError(
                f"two atoms are {answer.closest:.2f} Å apart; mend the geometry, or take a shorter "
                "timestep"
            )
        unit = self.energy_unit
        data.energy = float(answer.energies.sum()) * unit
        if data.eflag > 1:
            data.eatoms = answer.energies * unit
        if not pairwise:
            # the virial is LAMMPS' own sum of positions times forces, ghosts included
            forces = data.f
            forces += answer.forces if unit == 1 else answer.forces * unit
        elif data.npairs:
            data.update_pair_forces(np.ascontiguousarray(answer.pair_forces * unit))

    def _images(self, total: int) -> tuple[Any, Any]:
        """Identities (N,) and positions (N, 3) of owned and ghost atoms, where LAMMPS is known."""
        if self._lammps is None:
            return None, None
        read = self._lammps.numpy.extract_atom
        ids = read("id", nelem=total)
        if ids[0] == 0:  # atom_modify id no
            return None, None
        return ids, read("x", nelem=total, dim=3)

    # -- checks ------------------------------------------------------------------------------------
    def _check_run(
        self, data: Any, numbers: NDArray[np.int32], images: bool, pairwise: bool
    ) -> None:
        """What can only be seen once a run has begun; cheap enough for each step.

        images: whether atoms that are images of each other are known.
        """
        if data.nlistatoms != data.nlocal:
            raise DistillError(
                "the student must act on all atoms: take it out of pair_style hybrid, and map no "
                "type to NULL"
            )
        # one rank's ghosts are images of its own atoms, and need no neighbours
        alone = self.size == 1 and images
        if self._run < 0:
            self.student.check_elements(np.unique(numbers))
            self._check_bonds()
            self._check_monte_carlo()
        if self.layers > 1 and not alone and (self._run % 1000 == 0 or pairwise or self._run < 0):
            self._check_ghosts(data)
        self._run += 1

    def _check_bonds(self) -> None:
        """Whether LAMMPS' lists hold bonded atoms."""
        if self._lammps is None or not self._lammps.extract_global("nbonds"):
            return
        weights = zip(*(self._lammps.extract_global(f"special_{k}") for k in ("lj", "coul")))
        if any(lj == 0 and coulomb == 0 for lj, coulomb in list(weights)[1:]):
            raise DistillError(
                "LAMMPS would hide bonded neighbors from the student: write 'special_bonds lj/coul "
                "1 1 1'"
            )

    def _check_monte_carlo(self) -> None:
        """Whether a fix tries geometries that may overlap, and excludes atoms to delete them."""
        if self._lammps is None:
            return
        groups = self._lammps.available_ids("group")
        if any(group.startswith(MONTE_CARLO) for group in groups):
            raise DistillError(
                "'pair_style mliap' cannot tell Monte Carlo's trial geometries from those of MD; "
                "for fix gcmc, widom or charge/regulation, write 'pair_style distill', with the "
                "file of distill export NAME --format lammps"
            )

    def _check_ghosts(self, data: Any) -> None:
        """Whether ghost atoms have neighbours, and reach far enough."""
        if data.natomneigh == data.nlistatoms and data.ntotal > data.nlocal:
            raise DistillError(
                "ghost atoms have no neighbours, which several ranks and per-atom virials need: "
                "end the line with a 1, as in 'pair_style mliap unified FILE 1'"
            )
        if self._lammps is None:
            return
        cutoff, skin = instance.ghost_cutoff(self._lammps), instance.skin(self._lammps, self.cutoff)
        if cutoff is None or skin is None:
            return
        needed = self.layers * self.cutoff + skin
        if cutoff < needed - 1e-9:
            raise DistillError(
                f"ghost atoms reach {max(cutoff, self.cutoff + skin):g} Å, this student needs "
                f"{needed:g} Å ({self.layers} layers of {self.cutoff:g} Å, and the skin): write "
                f"'comm_modify cutoff {needed:g}' after pair_style"
            )


def checksum(state: dict[str, Any]) -> int:
    """Of what a file holds."""
    return zlib.crc32(f"{state['dtype']} {state['backend']}".encode(), zlib.crc32(state["file"]))


def restored(_: object, state: dict[str, Any]) -> StudentMLIAP:
    """From a file's content."""
    model = StudentMLIAP.__new__(StudentMLIAP)
    model.__setstate__(state)
    failing.Reading.ended()
    return model


def student_of(file: bytes) -> Any:
    """A student from its file's bytes."""
    handle, name = tempfile.mkstemp(suffix=".safetensors")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(file)
        return load_student(Path(name))
    finally:
        Path(name).unlink()
