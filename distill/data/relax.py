"""Geometries on their way to a minimum: conformers, turned torsions and contacts, relaxed by a
student.

MD at 300 K and above shows a molecule's minima seldom, and a contact between two molecules hardly
ever at its own distance; energies of conformers, torsions and contacts are differences of just
these. The minimizer is FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from scipy.spatial.distance import cdist

from distill.data.distort import turned
from distill.data.molecules import Molecule, geometry_problem
from distill.data.sampling import Frame, Sampling, starts_of
from distill.data.student_md import bonded_pairs, forces_of, intact
from distill.distances import contact_distance
from distill.student.student import Student

RELAXED, SCANNED, PULLED = "relaxed", "torsion-scan", "pulled-apart"
AT = (12, 45, 150)
"""Steps of FIRE: of each start one geometry is taken after each of the first two or of the last."""
SCAN = 15
"""Steps after a torsion was turned: bonds and angles give way, the torsion stays about there."""
PULLS = (0.85, 2.5)
"""Of the nearest distance between two parts of a complex, in a relaxed contact."""
LONGEST = 0.2
"""Å: no atom moves farther in a step."""


def relaxations(
    student: Student, molecule: Molecule, sampling: Sampling, rng: np.random.Generator
) -> list[Frame]:
    """What ``sampling`` asks for of relaxed, scanned and pulled geometries.

    Raises DistillError when no conformer can be made.
    """
    starts = _starts(molecule, sampling.relaxed + sampling.scanned, rng)
    if not starts:
        return []
    minima = fire(student, molecule.numbers, starts[: sampling.relaxed], AT)
    frames = []
    for k, path in enumerate(minima):
        taken = path[1:] if k % 2 else path[::2]
        frames += [Frame(x, RELAXED) for x in taken]
        if path:
            frames += [
                Frame(x, PULLED) for x in pulled_apart(molecule, path[-1], sampling.pulled, rng)
            ]
    mol = molecule.rdmol
    if mol is not None and sampling.scanned:
        bent = [turned(mol, x, rng) for x in _dealt(starts, sampling.scanned)]
        ways = fire(student, molecule.numbers, [x for x in bent if x is not None], (SCAN,))
        frames += [Frame(x, SCANNED) for path in ways for x in path]
    return [frame for frame in frames if not geometry_problem(frame.positions)]


def fire(
    student: Student,
    numbers: NDArray[np.int64],
    starts: Sequence[NDArray[np.float64]],
    at: Sequence[int],
    step: float = 0.1,
) -> list[list[NDArray[np.float64]]]:
    """Relaxes R geometries (N, 3) in Å at once; of each, those after the steps named by ``at``.

    A geometry that comes apart (see `distill.data.student_md.intact`) ends there.
    """
    if not starts:
        return []
    replicas = len(starts)
    forces = forces_of(student, numbers, replicas)
    x = np.array(starts, dtype=np.float64)
    bonds = [bonded_pairs(numbers, start) for start in x]
    v = np.zeros_like(x)
    dt, damping, good = (np.full((replicas, 1, 1), value) for value in (step, 0.1, 0.0))
    alive = np.ones(replicas, dtype=bool)
    taken: list[list[NDArray[np.float64]]] = [[] for _ in starts]
    for count in range(1, max(at) + 1):
        f = forces(x)
        f[~alive] = 0.0
        uphill = _dot(f, v) < 0
        damping = np.where(uphill, 0.1, np.where(good > 5, 0.99 * damping, damping))
        dt = np.where(uphill, 0.5 * dt, np.where(good > 5, np.minimum(1.1 * dt, 1.0), dt))
        good = np.where(uphill, 0.0, good + 1.0)
        v = np.where(uphill, 0.0, v) + dt * f
        along = np.sqrt(_dot(v, v) / np.maximum(_dot(f, f), 1e-20))
        v = (1.0 - damping) * v + damping * along * f
        move = dt * v
        longest = np.linalg.norm(move, axis=-1, keepdims=True).max(axis=1, keepdims=True)
        x = x + move * np.minimum(1.0, LONGEST / np.maximum(longest, 1e-12))
        if count in at:
            for r in np.flatnonzero(alive).tolist():
                alive[r] = intact(numbers, x[r], bonds[r])
                if alive[r]:
                    taken[r].append(x[r].copy())
                else:
                    x[r] = starts[r]
                    v[r] = 0.0
    return taken


def pulled_apart(
    molecule: Molecule, positions: NDArray[np.float64], count: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """``count`` geometries of a complex of two, its parts moved along the line between their
    centres until their nearest atoms are PULLS times as far apart; none of a single molecule."""
    parts = Chem.GetMolFrags(molecule.rdmol) if molecule.rdmol is not None else ()
    if len(parts) != 2:
        return []
    a, b = (list(part) for part in parts)
    along = positions[b].mean(0) - positions[a].mean(0)
    along /= max(float(np.linalg.norm(along)), 1e-6)
    nearest = float(cdist(positions[a], positions[b]).min())
    found = []
    for _ in range(count):
        # as many between 0.85 and 1 as between 1.75 and 2.5
        wanted = nearest * float(np.exp(rng.uniform(*np.log(PULLS))))
        moved = positions.copy()
        moved[b] += along * contact_distance(positions[a], positions[b], along, wanted)
        found.append(moved)
    return found


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, 1, 1) scalar products of R fields (N, 3)."""
    return np.asarray((a * b).sum(axis=(1, 2), keepdims=True))


def _starts(molecule: Molecule, count: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Conformers, or the geometries that were given, each as often as it must."""
    if molecule.rdmol is None:
        return _dealt(list(molecule.positions), count)
    mols = starts_of(molecule, count, int(rng.integers(2**31 - 1)))
    return _dealt([mol.GetConformer().GetPositions() for mol in mols], count)


def _dealt(starts: Sequence[NDArray[np.float64]], count: int) -> list[NDArray[np.float64]]:
    """As many as asked for, from the last on."""
    return [starts[-1 - k % len(starts)] for k in range(count)] if starts else []
