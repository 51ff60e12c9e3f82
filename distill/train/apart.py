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
from distill.evaluate.frames import LabelledFrame

SOURCE = "far-apart"
EACH = 2
"""Geometries of a complex that are added: of each part that of the lowest energy, and the next."""
GAP = 100.0
"""Å between the centres of the parts; beyond a cutoff it does not matter."""


def apart(paths: Sequence[Path], parts_in: Sequence[Path] = ()) -> list[LabelledFrame]:
    """For each complex in the datasets whose parts are known as molecules of their own, EACH frames
    named as it is, the best first.

    parts_in: further datasets in which the parts may be.
    """
    parts: dict[str, MoleculeData] = {}
    complexes: dict[str, tuple[str, int]] = {}
    for path in (*paths, *parts_in):
        with Dataset.open(path) as dataset:
            for molecule in dataset:
                if "." in molecule.smiles:
                    if path in paths:
                        complexes[molecule.name] = molecule.smiles, molecule.charge
                elif len(molecule) and molecule.smiles:
                    key = Chem.CanonSmiles(molecule.smiles)
                    known = parts.get(key)
                    if known is None or molecule.energy.min() < known.energy.min():
                        parts[key] = molecule
    frames = []
    for name, (smiles, charge) in complexes.items():
        keys = [Chem.CanonSmiles(part) for part in smiles.split(".")]
        if all(key in parts for key in keys):
            chosen = [parts[key] for key in keys]
            frames += [_far(name, chosen, rank, charge) for rank in range(EACH)]
    return frames


def _far(name: str, parts: Sequence[MoleculeData], rank: int, charge: int) -> LabelledFrame:
    """All parts side by side, each at its geometry of the lowest energy but ``rank``."""
    chosen = [int(np.argsort(part.energy)[min(rank, len(part) - 1)]) for part in parts]
    positions = [
        part.positions[k] - part.positions[k].mean(0) + [GAP * place, 0.0, 0.0]
        for place, (part, k) in enumerate(zip(parts, chosen))
    ]
    return LabelledFrame(
        name=name,
        numbers=np.concatenate([part.numbers for part in parts]),
        positions=np.concatenate(positions),
        energy=float(sum(part.energy[k] for part, k in zip(parts, chosen))),
        forces=np.concatenate([part.forces[k] for part, k in zip(parts, chosen)]),
        source=SOURCE,
        charge=charge,
    )
