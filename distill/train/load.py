"""Dataset files as graphs."""

from collections.abc import Sequence
from pathlib import Path

from distill.data.dataset import Dataset
from distill.student.student import Student
from distill.train.graphs import Graph


def load_graphs(paths: Sequence[Path], student: Student) -> list[Graph]:
    """All labelled geometries of the datasets, with edges for this student.

    DistillError when a molecule has an element the student does not know.
    """
    graphs = []
    for path in paths:
        with Dataset.open(path) as dataset:
            for molecule in dataset:
                student.check_elements(molecule.numbers)
                graphs += [
                    Graph.build(
                        molecule.numbers,
                        positions,
                        energy,
                        forces,
                        student.cutoff,
                        molecule=molecule.name,
                    )
                    for positions, energy, forces in zip(
                        molecule.positions, molecule.energy, molecule.forces
                    )
                ]
    return graphs
