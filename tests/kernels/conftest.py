"""Students in float64, which the kernel must agree with, and systems to try it on."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from distill.bench.systems import LORATADINE, PARACETAMOL
from distill.data.molecules import from_smiles
from distill.data.sampling import Sampling, sample
from distill.kernels.library import call, instruction_set
from distill.student import SIZES, Student, load_student
from distill.student.neighbours import neighbour_list

Answer = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="session", params=SIZES)
def student(request: pytest.FixtureRequest) -> Student:
    """The shipped students, in float64: their filters are those of trained networks."""
    return load_student(request.param, dtype=torch.float64)


@pytest.fixture(scope="session")
def tiny() -> Student:
    return load_student("tiny", dtype=torch.float64)


def drug(smiles: str, temperature: float) -> Atoms:
    """A drug out of a force field's MD."""
    plan = Sampling(
        frames=1,
        conformers=1,
        temperatures=(temperature,),
        displaced=0.0,
        thinning=0.0,
        given=False,
    )
    found = from_smiles(smiles)
    return found.atoms(sample(found, plan)[0].positions)


def liquid(rng: np.random.Generator, side: int = 3, cell: np.ndarray | None = None) -> Atoms:
    """side^3 molecules of methanol or water in a triclinic box, turned at random."""
    box = np.array([[4.0, 0.0, 0.0], [0.6, 3.9, 0.0], [-0.4, 0.5, 4.1]]) if cell is None else cell
    atoms = Atoms()
    for k, corner in enumerate(np.ndindex(side, side, side)):
        part = molecule("CH3OH" if k % 2 else "H2O")
        part.rotate(rng.uniform(0, 360), rng.normal(size=3))
        part.positions += np.array(corner) @ box - part.positions.mean(0)
        atoms += part
    atoms.set_cell(box * side)
    atoms.pbc = True
    return atoms


def crowd(rng: np.random.Generator) -> Atoms:
    """An atom with 200 others within the cutoff, on shells that do not overlap."""
    points = rng.normal(size=(4000, 3))
    points *= (rng.uniform(1.2, 4.95, size=4000) / np.linalg.norm(points, axis=1))[:, None]
    kept = [np.zeros(3)]
    for point in points:
        if len(kept) <= 200 and min(np.linalg.norm(point - k) for k in kept) > 0.85:
            kept.append(point)
    assert len(kept) == 201
    return Atoms(numbers=rng.choice([1, 6, 7, 8], size=201), positions=np.array(kept))


@pytest.fixture
def systems(rng: np.random.Generator) -> dict[str, Atoms]:
    """The systems of the parity test, by name."""
    far = molecule("H2O")
    far.positions[2] += 40.0
    return {
        "drug": drug(PARACETAMOL, 300.0),
        "drug of 50 atoms at 1000 K": drug(LORATADINE, 1000.0),
        "liquid": liquid(rng),
        "one atom": Atoms("N", positions=[[0.3, -0.2, 5.0]]),
        "an atom without neighbours": far,
        "a cell smaller than the cutoff": liquid(rng, side=1, cell=np.diag([4.1, 4.4, 3.9])),
    }


@pytest.fixture
def reference() -> Callable[[Student, Atoms], Answer]:
    """reference(student, atoms): energies, forces and virial by eager torch and vesin's list."""

    def answer(student: Student, atoms: Atoms) -> Answer:
        edges = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, student.cutoff)
        found = student.evaluate(
            torch.tensor(atoms.positions), torch.tensor(atoms.numbers), *map(torch.tensor, edges)
        )
        return tuple(x.numpy() for x in found)

    return answer


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine has."""
    best = instruction_set()
    order = ["baseline", "avx2", "avx512"]
    name = request.param if order.index(request.param) <= order.index(best) else best
    call("distill_set_isa", name.encode())
    yield name
    call("distill_set_isa", best.encode())
