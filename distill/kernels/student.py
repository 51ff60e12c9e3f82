"""``KernelStudent``: a student on numpy arrays, without torch in the loop."""

import weakref
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distill.errors import DistillError
from distill.kernels.library import call, library, pointer
from distill.kernels.weights import on_cache_line, prepare
from distill.student.student import Student

Array = NDArray[np.float64]


class Answer(NamedTuple):
    """energies (N,) in eV, forces (N, 3) in eV/Å, virial (3, 3) = stress x volume in eV;
    closest: the smallest distance of two atoms in Å, and their indices; distances (N,): how unlike
    the training set each atom is (see ``distill.student.latent``), None when the student cannot
    tell."""

    energies: Array
    forces: Array
    virial: Array
    closest: tuple[float, int, int]
    distances: Array | None = None


class KernelStudent:
    """A student run by the fused kernel. Everything in and out is in eV and Å.

    dtype: precision of the network, "float32" or "float64". threads: at most so many work on one
    call (fewer for small systems). skin: Å beyond the cutoff that the neighbour list of
    :meth:`evaluate` holds; it is built anew when an atom has moved half of it.
    Raises DistillError where the kernel was not compiled.
    """

    def __init__(
        self,
        student: Student,
        dtype: str = "float32",
        *,
        threads: int = 1,
        skin: float = 1.0,
        intervals: int | None = None,
    ):
        latent = None if student.latent is None else student.latent.packed(dtype)
        self.__setstate__((threads, skin, *prepare(student, dtype, intervals), latent))

    def __getstate__(self) -> tuple[Any, ...]:
        return self.threads, self.skin, self._meta, self._packed, self._latent

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Also for copies, which get a neighbour list of their own."""
        self.threads, self.skin, self._meta, packed, latent = state
        self._packed = on_cache_line(packed)
        self._latent = None if latent is None else on_cache_line(latent)
        bits = 8 * self._packed.itemsize
        self._model = (pointer(self._meta), len(self._meta), bits, pointer(self._packed))
        self._free: Any = None
        self.forget()

    def forget(self) -> None:
        """The next call of :meth:`evaluate` builds its neighbour list anew, as a new kernel's.

        In which order pairs are added up depends on where the list was built: an MD run that shall
        be the same in every bit after a stop forgets it where it may be taken up again.
        """
        if self._free is not None:
            self._free()
        self.list = int(library().distill_new_list())
        self._free = weakref.finalize(self, library().distill_free_list, self.list)

    def evaluate(
        self,
        positions: Any,
        numbers: Any,
        cell: Any = None,
        pbc: Any = False,
    ) -> Answer:
        """Of one geometry, with a neighbour list of its own that lasts from call to call.

        positions (N, 3); numbers (N,) atomic numbers; cell (3, 3) with rows as vectors; pbc one
        flag or three. Raises DistillError for unknown elements, coordinates that are not finite,
        and a periodic direction without a cell vector.
        """
        x = np.ascontiguousarray(positions, dtype=np.float64)
        z = np.ascontiguousarray(numbers, dtype=np.int64)
        box = flags = None
        if cell is not None and np.any(pbc):
            box = np.ascontiguousarray(cell, dtype=np.float64)
            flags = np.array(np.broadcast_to(pbc, 3), dtype=np.uint8)
        n = self._check(x, z)
        energies, forces, virial, closest = _results(n)
        distances = None if self._latent is None else np.empty(n)
        call(
            "distill_evaluate_md", *self._model, n, pointer(z), pointer(x), pointer(box),
            pointer(flags), self.list, self.skin, self.threads, pointer(energies),
            pointer(forces), pointer(virial), pointer(closest), pointer(self._latent),
            pointer(distances),
        )  # fmt: skip
        return Answer(energies, forces, virial, _closest(closest), distances)

    def evaluate_edges(
        self,
        positions: Any,
        numbers: Any,
        edge_index: Any,
        edge_shift: Any = None,
        weights: Any = None,
    ) -> Answer:
        """The same with pairs from outside, as Student takes them: both directions listed.

        edge_shift (E, 3) or None. weights (N,): forces are minus the gradient of the sum of the
        atoms' energies times these (ones, when None); LAMMPS' ghost atoms have zero.
        """
        x = np.ascontiguousarray(positions, dtype=np.float64)
        z = np.ascontiguousarray(numbers, dtype=np.int64)
        i, j = (np.ascontiguousarray(row, dtype=np.int64) for row in edge_index)
        shift = None if edge_shift is None else np.ascontiguousarray(edge_shift, dtype=np.float64)
        c = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        n = self._check(x, z)
        if len(i) != len(j) or (shift is not None and shift.shape != (len(i), 3)):
            raise DistillError("edge_index must be (2, E) and edge_shift (E, 3).")
        if c is not None and len(c) != n:
            raise DistillError("weights must be (N,).")
        energies, forces, virial, closest = _results(n)
        distances = None if self._latent is None else np.empty(n)
        call(
            "distill_evaluate", *self._model, n, pointer(z), pointer(x), len(i), pointer(i),
            pointer(j), pointer(shift), pointer(c), self.threads, pointer(energies),
            pointer(forces), pointer(virial), pointer(closest), pointer(self._latent),
            pointer(distances),
        )  # fmt: skip
        return Answer(energies, forces, virial, _closest(closest), distances)

    def evaluate_part(
        self, numbers: Any, owned: int, centre: Any, neighbour: Any, vectors: Any,
        ids: Any = None, positions: Any = None,
    ) -> tuple[Answer, NDArray[np.int32]]:  # fmt: skip
        """Of a part of a system with the ghost atoms around it, as a rank of LAMMPS has it.

        numbers (N,) of all; the first ``owned`` of them count: energies and distances are theirs,
        forces (N, 3) are minus the gradient of their energy. Pairs (centre, neighbour), both (P,),
        and vectors (P, 3) from one to the other: full neighbour lists, each centre's without a gap,
        of all atoms within (layers - 1) cutoffs of the owned ones. On one thread.

        ids (N,), with positions (N, 3): atoms of the same are images of one, and one of them stands
        for all, with the forces on all of them: an owned one, or one nearest to those. Where all
        ghosts are images of owned atoms, lists of the owned ones suffice. Returned beside the
        answer: (3, 2) pairs of an image and what stands for it, in independent directions, or -1.
        """
        z, i, j = (np.ascontiguousarray(x, dtype=np.int32) for x in (numbers, centre, neighbour))
        v = np.ascontiguousarray(vectors, dtype=np.float64)
        tags = None if ids is None else np.ascontiguousarray(ids, dtype=np.int32)
        x = None if positions is None else np.ascontiguousarray(positions, dtype=np.float64)
        if not 0 <= owned <= len(z):
            raise DistillError(f"owned is {owned}, but there are {len(z)} atoms.")
        if not len(i) == len(j) == len(v) or v.shape != (len(v), 3):
            raise DistillError("centre and neighbour must be (P,), vectors (P, 3).")
        if tags is not None and (x is None or len(tags) != len(z) or x.shape != (len(z), 3)):
            raise DistillError("ids must be (N,), and positions (N, 3).")
        _, forces, virial, closest = _results(len(z))
        energies, images = np.empty(owned), np.empty((3, 2), dtype=np.int32)
        distances = None if self._latent is None else np.empty(owned)
        call(
            "distill_evaluate_part", *self._model, len(z), owned, pointer(z), len(i), pointer(i),
            pointer(j), pointer(v), pointer(tags), pointer(x), pointer(energies), pointer(forces),
            pointer(virial), pointer(closest), pointer(self._latent), pointer(distances),
            pointer(images),
        )  # fmt: skip
        return Answer(energies, forces, virial, _closest(closest), distances), images

    @property
    def rebuilds(self) -> int:
        """How often the neighbour list has been built."""
        return int(library().distill_list_rebuilds(self.list))

    @staticmethod
    def _check(x: Array, z: NDArray[np.int64]) -> int:
        if x.shape != (len(z), 3):
            raise DistillError(f"positions are {x.shape}, but there are {len(z)} atomic numbers.")
        return len(z)


def _results(n: int) -> tuple[Array, Array, Array, Array]:
    return np.empty(n), np.empty((n, 3)), np.empty((3, 3)), np.empty(3)


def _closest(closest: Array) -> tuple[float, int, int]:
    return float(closest[0]), int(closest[1]), int(closest[2])


def kernel_neighbours(
    positions: Any, cell: Any, pbc: Any, cutoff: float, threads: int = 1
) -> tuple[NDArray[np.int64], Array]:
    """The kernel's own neighbour list as edges, like ``distill.student.neighbours``; for tests."""
    x = np.ascontiguousarray(positions, dtype=np.float64)
    box = None if cell is None else np.ascontiguousarray(cell, dtype=np.float64)
    flags = np.array(np.broadcast_to(pbc, 3), dtype=np.uint8)
    loaded = library()
    arguments = (len(x), pointer(x), pointer(box), pointer(flags), float(cutoff), threads)
    count = int(loaded.distill_neighbours(*arguments, None, None, None))
    if count < 0:
        raise DistillError(loaded.distill_error().decode())
    edges, shift = np.empty((2, count), dtype=np.int64), np.empty((count, 3))
    loaded.distill_neighbours(*arguments, pointer(edges[0]), pointer(edges[1]), pointer(shift))
    return edges, shift
