"""Small molecules and a quick way to make labelling tasks of them."""

import pytest

from distill.data.label import Task
from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling

SMILES = ("CCO", "CC(=O)[O-]", "C[NH3+]", "CCS", "CC#N", "COC=O", "CCCl", "NC=O", "CF", "C1CC1O")


@pytest.fixture
def tasks() -> list[Task]:
    """Ten molecules, three quick frames each."""
    sampling = Sampling(frames=3, conformers=1, steps_between=10, equilibration=5)
    return [(from_smiles(smiles), sampling) for smiles in SMILES]
