"""Fits what tells how unlike the training set an atom is: see :mod:`distill.student.latent`."""

from collections.abc import Sequence

import numpy as np
import torch

from distill.errors import DistillError
from distill.student import environments
from distill.student.latent import Latent, last_scalars
from distill.student.student import Student
from distill.train.graphs import Graph

MOST = 500
"""Geometries that the means and the covariance are taken from: more change them little."""
RIDGE = 1e-3
"""Of the mean variance, added to each: directions in which nothing varied must not decide."""
LIMIT = 1.25
"""Times the distance that one in a thousand atoms set aside exceeds."""
BINS = 12


def fit_latent(student: Student, train: Sequence[Graph], valid: Sequence[Graph]) -> Latent | None:
    """From geometries that the student was trained on, and others that it was not.

    None where these tell nothing of further ones: a lone atom has a single geometry.
    """
    if not train or not valid:
        raise DistillError("The uncertainty needs geometries of training and others set aside.")
    seen, species, _ = scalars_of(student, evenly(train))
    mean = torch.full((len(student.config.elements), seen.shape[1]), torch.nan, dtype=torch.float64)
    for z in species.unique():
        mean[z] = seen[species == z].mean(0)
    away = seen - mean[species]
    covariance = away.T @ away / len(away)
    ridge = RIDGE * covariance.diagonal().mean() + 1e-12
    eye = torch.eye(len(covariance), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(covariance + ridge * eye)
    whitening = (vectors / values.sqrt()).contiguous()

    other, species, errors = scalars_of(student, evenly(valid))
    distances = Latent(mean, whitening, 1.0, 1.0, np.inf).distances(other, species).numpy()
    known = np.isfinite(distances)
    limit = LIMIT * float(np.quantile(distances[known], 0.999))
    if not limit > 0:
        return None
    scale, power = fit_power(distances[known], errors[known])
    if not np.isfinite(scale):
        return None
    return Latent(mean, whitening, scale, power, limit, known_environments(train))


def known_environments(graphs: Sequence[Graph]) -> frozenset[str]:
    """What the atoms of all these geometries are bonded to, but for rare accidents."""
    census = environments.Census()
    for g in graphs:
        found = environments.count(g.numbers, g.positions, g.edge_index, g.edge_shift)
        census.add(g.molecule or g.numbers.tobytes(), found)
    return census.known()


def evenly(graphs: Sequence[Graph]) -> list[Graph]:
    """At most MOST of them, from first to last."""
    chosen = np.linspace(0, len(graphs) - 1, min(MOST, len(graphs))).astype(int)
    return [graphs[k] for k in chosen]


def scalars_of(
    student: Student, graphs: Sequence[Graph]
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Of all atoms: the last scalars (N, F) float64, species (N,), norms of force errors (N,)."""
    numbers = torch.from_numpy(np.concatenate([g.numbers for g in graphs]))
    errors = []
    with last_scalars(student) as found:
        for g in graphs:
            edges = torch.from_numpy(g.edge_index)
            shift = torch.zeros(edges.shape[1], 3, dtype=torch.float64)
            if g.edge_shift is not None:
                shift = torch.from_numpy(np.asarray(g.edge_shift, dtype=np.float64))
            inputs = torch.from_numpy(g.positions), torch.from_numpy(g.numbers), edges, shift
            _, forces, _ = student.evaluate(*inputs)
            errors.append(np.linalg.norm(forces.numpy() - g.forces, axis=1))
    return torch.cat(found).double(), student.species_of[numbers], np.concatenate(errors)


def fit_power(distances: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """a and b of errors = a distances^b, from the means in bins of as many atoms each.

    The power is kept between 0.5 and 4: a fit to a few atoms must not predict nonsense far away.
    """
    order = np.argsort(distances)
    groups = [g for g in np.array_split(order, min(BINS, max(2, len(order) // 8))) if len(g)]
    x = np.log([distances[g].mean() for g in groups])
    y = np.log([max(errors[g].mean(), 1e-9) for g in groups])
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 1.0
    power = min(max(slope, 0.5), 4.0)
    return float(np.exp(y.mean() - power * x.mean())), power
