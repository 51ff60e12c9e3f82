"""Labelled geometries as graphs, and batches of them padded to one fixed shape."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.student.neighbours import neighbour_list
from distill.student.student import Student
from distill.train.hold_out import molecule_of


@dataclass(frozen=True)
class Graph:
    """One labelled geometry. numbers (N,), positions (N, 3), edges (2, E), forces (N, 3).

    molecule: its name, by which geometries of one molecule are known; "" where it is alone.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]
    edge_index: NDArray[np.int32]
    edge_shift: NDArray[np.float32] | None
    energy: float
    forces: NDArray[np.float32]
    molecule: str = ""

    @classmethod
    def build(
        cls,
        numbers: NDArray[np.int64],
        positions: NDArray[np.float64],
        energy: float,
        forces: NDArray[np.float64],
        cutoff: float,
        cell: NDArray[np.float64] | None = None,
        molecule: str = "",
        pbc: NDArray[np.bool_] | bool = True,
    ) -> "Graph":
        """From a label in eV and Å; the edges are those within the cutoff (Å).

        pbc: the periodic directions of a cell, one for all or (3,).
        """
        periodic = pbc if cell is not None else False
        edge_index, shift = neighbour_list(positions, cell, periodic, cutoff)
        return cls(
            numbers=np.asarray(numbers, dtype=np.int64),
            positions=positions.astype(np.float32),
            edge_index=edge_index.astype(np.int32),
            edge_shift=shift.astype(np.float32) if shift.any() else None,
            energy=float(energy),
            forces=forces.astype(np.float32),
            molecule=molecule,
        )

    @cached_property
    def half(self) -> tuple[NDArray[np.int32], NDArray[np.float64] | None]:
        """Every pair once: (2, E / 2), and its shift (E / 2, 3) unless all are zero."""
        i, j = self.edge_index
        if self.edge_shift is None:
            return self.edge_index[:, i < j], None
        # of an atom and its own images, those in the forward half of space
        x, y, z = self.edge_shift.T
        forward = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
        keep = (i < j) | ((i == j) & forward)
        return self.edge_index[:, keep], self.edge_shift[keep].astype(np.float64)


def graphs_of(frames: Sequence[LabelledFrame], student: Student) -> list[Graph]:
    """The frames with edges for this student."""
    return [
        Graph.build(
            f.numbers,
            f.positions,
            f.energy,
            f.forces,
            student.cutoff,
            f.cell,
            molecule=molecule_of(f),
            pbc=f.pbc,
        )
        for f in frames
    ]


@dataclass(frozen=True)
class Capacity:
    """The fixed shape of a batch: atoms, edges and molecules that it can hold.

    One shape for all data of a size, so that a training step is compiled once a machine.
    """

    atoms: int
    edges: int
    molecules: int

    def fits(self, graphs: Sequence[Graph]) -> bool:
        # two atoms and one molecule stay free: the padding lives there
        return (
            sum(len(g.numbers) for g in graphs) <= self.atoms - 2
            and sum(g.edge_index.shape[1] for g in graphs) <= self.edges
            and len(graphs) <= self.molecules - 1
        )

    def without(self, graphs: Sequence[Graph]) -> "Capacity":
        """What is left of it beside these graphs."""
        return Capacity(
            self.atoms - sum(len(g.numbers) for g in graphs),
            self.edges - sum(g.edge_index.shape[1] for g in graphs),
            self.molecules - len(graphs),
        )

    @classmethod
    def for_graphs(cls, graphs: Iterable[Graph], batch: int = 1) -> "Capacity":
        """``batch`` times the standard shape, doubled until the largest graph fits."""
        shape, graphs = cls(384 * batch, 8192 * batch, 48 * batch), list(graphs)
        while not all(shape.fits([g]) for g in graphs):
            shape = cls(2 * shape.atoms, 2 * shape.edges, shape.molecules)
        return shape


@dataclass(frozen=True)
class Batch:
    """A padded batch of molecules with A atoms, E edges and M molecule slots in all.

    species (A,), vectors (E, 3) in Å, centre and neighbour (E,), molecule (A,) the slot of each
    atom, energy (M,) above the isolated atoms and forces (A, 3) of the teacher, atom_weight (A,)
    and molecule_weight (M,): ones, and zeros for padding; inverse_size (M,): 1 / atoms; group (M,):
    the same number for geometries of the same molecule, see :func:`groups_of`.
    """

    species: Tensor
    vectors: Tensor
    centre: Tensor
    neighbour: Tensor
    molecule: Tensor
    energy: Tensor
    forces: Tensor
    atom_weight: Tensor
    molecule_weight: Tensor
    inverse_size: Tensor
    group: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self.tensors()))

    def pin_memory(self) -> "Batch":
        """In memory from which a GPU copies while the CPU goes on; a DataLoader calls it."""
        return Batch(*(tensor.pin_memory() for tensor in self.tensors()))


def collate(
    graphs: Sequence[Graph],
    capacity: Capacity,
    species_of: NDArray[np.int64],
    reference: NDArray[np.float64],
    cutoff: float,
) -> Batch:
    """Puts graphs side by side and fills up with edges too long to count between idle atoms.

    species_of: atomic number -> index; reference: (species,) energies of the isolated atoms, eV.
    """
    if not capacity.fits(graphs):
        raise DistillError(f"{len(graphs)} graphs do not fit into a batch of {capacity}.")
    n_atoms, n_edges, n_molecules = capacity.atoms, capacity.edges, capacity.molecules
    species = np.zeros(n_atoms, dtype=np.int64)
    molecule = np.full(n_atoms, n_molecules - 1, dtype=np.int64)
    forces = np.zeros((n_atoms, 3), dtype=np.float32)
    atom_weight = np.zeros(n_atoms, dtype=np.float32)
    vectors = np.zeros((n_edges, 3), dtype=np.float32)
    vectors[:, 0] = 2.0 * cutoff
    centre = np.full(n_edges, n_atoms - 1, dtype=np.int64)
    neighbour = np.full(n_edges, n_atoms - 2, dtype=np.int64)
    energy = np.zeros(n_molecules, dtype=np.float32)
    molecule_weight = np.zeros(n_molecules, dtype=np.float32)
    inverse_size = np.zeros(n_molecules, dtype=np.float32)
    group = np.arange(n_molecules)
    group[: len(graphs)] = groups_of(graphs)

    atom, edge = 0, 0
    for slot, graph in enumerate(graphs):
        n, (i, j) = len(graph.numbers), graph.edge_index
        atoms, edges = slice(atom, atom + n), slice(edge, edge + len(i))
        species[atoms] = species_of[graph.numbers]
        molecule[atoms] = slot
        forces[atoms] = graph.forces
        atom_weight[atoms] = 1.0
        vectors[edges] = graph.positions[j] - graph.positions[i]
        if graph.edge_shift is not None:
            vectors[edges] += graph.edge_shift
        centre[edges], neighbour[edges] = i + atom, j + atom
        energy[slot] = graph.energy - reference[species[atoms]].sum()
        molecule_weight[slot] = 1.0
        inverse_size[slot] = 1.0 / n
        atom, edge = atom + n, edge + len(i)
    arrays = (
        species, vectors, centre, neighbour, molecule,
        energy, forces, atom_weight, molecule_weight, inverse_size, group,
    )  # fmt: skip
    return Batch(*(torch.from_numpy(array) for array in arrays))


def groups_of(graphs: Sequence[Graph]) -> NDArray[np.int64]:
    """(M,) the index of the first graph of the same molecule; a nameless one is alone."""
    first: dict[str, int] = {}
    return np.array(
        [first.setdefault(g.molecule, k) if g.molecule else k for k, g in enumerate(graphs)],
        dtype=np.int64,
    )


def batches(
    graphs: Sequence[Graph], capacity: Capacity, seed: int, pairs: bool = False
) -> Iterator[list[int]]:
    """Endless batches of indices: each epoch visits every graph once, in an order of its own.

    pairs: two geometries of the same molecule stay together where there are two. A function of its
    arguments alone, so that a resumed run sees what it would have seen.
    """
    epoch = 0
    while True:
        rng = np.random.default_rng([seed, epoch])
        order = [[k] for k in rng.permutation(len(graphs)).tolist()]
        if pairs:
            order = _in_pairs(graphs, order, capacity)
            order = [order[k] for k in rng.permutation(len(order)).tolist()]
        batch: list[int] = []
        room = capacity
        for some in order:
            joined = [graphs[k] for k in some]
            if not room.fits(joined):
                yield batch
                batch, room = [], capacity
            batch += some
            room = room.without(joined)
        yield batch
        epoch += 1


def _in_pairs(
    graphs: Sequence[Graph], order: Sequence[list[int]], capacity: Capacity
) -> list[list[int]]:
    """Geometries of the same molecule two by two, as they come; what has no partner alone."""
    alone: dict[str | int, int] = {}
    found = []
    for (k,) in order:
        name = graphs[k].molecule or k
        partner = alone.pop(name, None)
        if partner is None:
            alone[name] = k
        elif capacity.fits([graphs[partner], graphs[k]]):
            found.append([partner, k])
        else:
            found += [[partner], [k]]
    return found + [[k] for k in alone.values()]


def reference_energies(graphs: Sequence[Graph], elements: Sequence[int]) -> NDArray[np.float64]:
    """(elements,) least-squares energy per element, in eV; zero where the data has none of it."""
    counts = np.array([[(g.numbers == z).sum() for z in elements] for g in graphs], dtype=float)
    energies = np.array([g.energy for g in graphs])
    present = counts.any(axis=0)
    reference = np.zeros(len(elements))
    reference[present] = np.linalg.lstsq(counts[:, present], energies, rcond=None)[0]
    return reference
