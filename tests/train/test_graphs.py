"""Graphs and batches hold what the labels said, once."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from distill.errors import DistillError
from distill.student import Student
from distill.train.graphs import Batch, Capacity, Graph, batches, collate, reference_energies


def put_together(graphs: list[Graph], capacity: Capacity, student: Student) -> Batch:
    species, reference = student.species_of.numpy(), student.reference.numpy()
    return collate(graphs, capacity, species, reference, student.cutoff)


@pytest.mark.parametrize("capacity", [Capacity(20, 400, 10), Capacity(384, 8192, 48)])
def test_each_epoch_visits_each_graph_once(graphs: list[Graph], capacity: Capacity) -> None:
    stream = batches(graphs, capacity, seed=3)
    epochs = []
    for _ in range(3):
        seen: list[int] = []
        while len(seen) < len(graphs):
            batch = next(stream)
            assert capacity.fits([graphs[k] for k in batch])
            seen += batch
        assert Counter(seen) == Counter(range(len(graphs)))
        epochs.append(tuple(seen))
    assert len(set(epochs)) == 3  # another order each time


def test_geometries_of_a_molecule_in_pairs(graphs: list[Graph]) -> None:
    names = ["a"] * 13 + ["b"] * 14 + [""] * (len(graphs) - 27)
    named = [replace(g, molecule=name) for g, name in zip(graphs, names)]
    stream = batches(named, Capacity(30, 600, 10), seed=3, pairs=True)
    for _ in range(2):
        seen: list[int] = []
        together = 0
        while len(seen) < len(named):
            batch = next(stream)
            counts = Counter(named[k].molecule for k in batch)
            together += counts["a"] // 2 + counts["b"] // 2
            seen += batch
        assert Counter(seen) == Counter(range(len(named)))
        assert together >= 6 + 7  # all but the thirteenth


def test_batches_depend_on_the_seed_alone(graphs: list[Graph]) -> None:
    capacity = Capacity(20, 400, 10)
    first, again, other = (list(islice(batches(graphs, capacity, s), 30)) for s in (1, 1, 2))
    assert first == again != other


def test_a_batch_holds_its_labels(graphs: list[Graph], student: Student) -> None:
    batch = put_together(graphs[:3], Capacity(32, 256, 6), student)
    n = len(graphs[0].numbers)
    assert batch.atom_weight.sum() == 3 * n and batch.molecule_weight.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(batch.forces[n : 2 * n], graphs[1].forces)
    assert not batch.forces[3 * n :].any()
    above = graphs[2].energy - sum(
        float(student.reference[student.species_of[z]]) for z in graphs[2].numbers.tolist()
    )
    assert float(batch.energy[2]) == pytest.approx(above, rel=1e-6)
    # edges stay inside their molecule, and the idle ones are too long to count
    assert (batch.molecule[batch.centre] == batch.molecule[batch.neighbour]).all()
    edges = sum(g.edge_index.shape[1] for g in graphs[:3])
    assert (batch.vectors[:edges].norm(dim=1) < student.cutoff).all()
    assert (batch.vectors[edges:].norm(dim=1) > student.cutoff).all()


def test_a_large_molecule_doubles_the_shape(graphs: list[Graph], student: Student) -> None:
    chain = np.arange(500)[:, None] * [0.9, 0.0, 0.0]
    big = Graph.build(np.full(500, 6), chain, 0.0, np.zeros((500, 3)), 5.0)
    capacity = Capacity.for_graphs([*graphs, big])
    assert capacity.fits([big]) and capacity.atoms == 768
    with pytest.raises(DistillError, match="do not fit"):
        put_together([big], Capacity(384, 8192, 48), student)


def test_periodic_edges_keep_their_shift(student: Student) -> None:
    positions = np.array([[0.25, 0, 0], [6.0, 0, 0]])
    graph = Graph.build(np.array([1, 1]), positions, 0.0, np.zeros((2, 3)), 5.0, np.eye(3) * 6.25)
    batch = put_together([graph], Capacity(8, 8, 2), student)
    i, j = graph.edge_index
    assert sorted(zip(i.tolist(), j.tolist())) == [(0, 1), (1, 0)]
    np.testing.assert_allclose(batch.vectors[:2].norm(dim=1), 0.5, atol=1e-6)


def test_reference_energies_are_recovered(rng: np.random.Generator) -> None:
    truth = {1: -13.6, 6: -1030.0, 8: -2040.0}
    made = []
    for _ in range(8):
        numbers = rng.choice([1, 6, 8], size=6)
        energy = sum(truth[int(z)] for z in numbers)
        made.append(Graph.build(numbers, rng.uniform(0, 4, (6, 3)), energy, np.zeros((6, 3)), 5.0))
    found = reference_energies(made, (1, 6, 7, 8))
    np.testing.assert_allclose(found, [-13.6, -1030.0, 0.0, -2040.0], atol=1e-8)
