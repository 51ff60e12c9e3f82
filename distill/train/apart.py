"""Complexes whose parts are infinitely far apart, from the labels of the parts alone.

What a contact is worth is the difference between two large energies. A student that is right to
1 meV per atom for each can be wrong by a kcal/mol for that, unless it sees both at once, as two
geometries of one molecule (see `relative_energy_weight` of `distill.train.config`). The teacher
need not be asked: energies add up, forces stand side by side. So two ions are far apart for good,
where at any distance that a teacher can be asked about they still attract each other.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rdkit import Chem

from distill.data.dataset import Dataset, MoleculeData
from distill.student.student import Student
from distill.train.graphs import Graph

EACH = 2
"""Geometries of a complex that are added: of each part that of the lowest energy, and the next."""
GAP = 100.0
"""Å between the centres of the parts; beyond a cutoff it does not matter."""


def apart(paths: Sequence[Path], student: Student) -> list[Graph]:
    """For each complex in the datasets whose parts are there as molecules of their own, EACH graphs
    named as it is."""
    parts: dict[str, MoleculeData] = {}
    complexes: dict[str, str] = {}
    for path in paths:
        with Dataset.open(path) as dataset:
            for molecule in dataset:
                if "." in molecule.smiles:
                    complexes[molecule.name] = molecule.smiles
                elif len(molecule) and molecule.smiles:
                    key = Chem.CanonSmiles(molecule.smiles)
                    known = parts.get(key)
                    if known is None or molecule.energy.min() < known.energy.min():
                        parts[key] = molecule
    graphs = []
    for name, smiles in complexes.items():
        keys = [Chem.CanonSmiles(part) for part in smiles.split(".")]
        if all(key in parts for key in keys):
            graphs += [
                _far(name, [parts[key] for key in keys], rank, student) for rank in range(EACH)
            ]
    return graphs


def _far(name: str, parts: Sequence[MoleculeData], rank: int, student: Student) -> Graph:
    """All parts side by side, each at its geometry of the lowest energy but ``rank``."""
    chosen = [int(np.argsort(part.energy)[min(rank, len(part) - 1)]) for part in parts]
    positions = [
        part.positions[k] - part.positions[k].mean(0) + [GAP * place, 0.0, 0.0]
        for place, (part, k) in enumerate(zip(parts, chosen))
    ]
    return Graph.build(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate(positions),
        float(sum(part.energy[k] for part, k in zip(parts, chosen))),
        np.concatenate([part.forces[k] for part, k in zip(parts, chosen)]),
        student.cutoff,
        molecule=name,
    )
