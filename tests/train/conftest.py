"""Real labels: methanol by GFN2-xTB."""

from pathlib import Path

import numpy as np
import pytest

from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.data.label import run_task
from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling
from distill.student import Student
from distill.teacher.base import TeacherSpec
from distill.train.graphs import Graph
from distill.train.train import fit_reference


@pytest.fixture(scope="session")
def methanol() -> MoleculeData:
    """Forty labelled geometries."""
    sampling = Sampling(frames=40, steps_between=20, equilibration=20, thinning=0.0)
    data = run_task(from_smiles("CO"), sampling, TeacherSpec())
    assert len(data) == 40
    return data


@pytest.fixture(scope="session")
def graphs(methanol: MoleculeData) -> list[Graph]:
    """The same as graphs; coordinates on a grid on which float32 differences are exact."""
    positions = np.round(methanol.positions.astype(float) * 4096) / 4096
    return [
        Graph.build(methanol.numbers, x, e, f, cutoff=5.0)
        for x, e, f in zip(positions, methanol.energy, methanol.forces)
    ]


@pytest.fixture
def student(graphs: list[Graph]) -> Student:
    """The smallest student, random weights, with the reference energies of the data."""
    student = Student.untrained("ultra-tiny")
    fit_reference(student, graphs)
    return student


@pytest.fixture(scope="session")
def dataset(methanol: MoleculeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels as a dataset file."""
    path = tmp_path_factory.mktemp("data") / "methanol.h5"
    write(path, TeacherRecord("gfn2-xtb", "tblite", True), [methanol])
    return path
