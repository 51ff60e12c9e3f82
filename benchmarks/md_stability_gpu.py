"""`md_stability.py` for a GPU: all molecules and temperatures side by side, as one system.

    python benchmarks/md_stability_gpu.py starts original drugs:test:24 -o starts.npz
    python benchmarks/md_stability_gpu.py run original starts.npz --temperatures 300 500 -o x.json

``starts`` relaxes the molecules (OpenMM, on the CPU); ``run`` needs no OpenMM. The MD is that of
there: Langevin at 1 fs (the middle scheme of Zhang, Liu, Yan, Tuckerman, Liu, J. Phys. Chem. A 123,
6056 (2019), which is OpenMM's), velocity Verlet at 0.5 fs, other random numbers. Fifty steps are
one CUDA graph. All pairs of a molecule are listed, so no list is ever made again.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase.data import atomic_masses
from ase.units import fs, kB
from stability import drift, of_bonds, summary
from torch import Tensor

from distill import load_student
from distill.evaluate.report import provenance
from distill.kernels.cuda import CudaStudent

STEPS = 50
"""Of one graph."""


@dataclass(frozen=True)
class Molecules:
    """Names (M,), numbers and positions (Å) of each, and bonds (B, 2)."""

    names: list[str]
    numbers: list[np.ndarray]
    positions: list[np.ndarray]
    bonds: list[np.ndarray]

    @classmethod
    def load(cls, path: Path, copies: int = 1) -> "Molecules":
        """Each ``copies`` times, one after another."""
        with np.load(path) as file:
            names = [str(name) for name in file["names"]]
            parts = ([file[f"{kind}{k}"] for k in range(len(names))] * copies
                     for kind in ("numbers", "positions", "bonds"))  # fmt: skip
            return cls(names * copies, *parts)

    def first_atoms(self) -> np.ndarray:
        """(M,) the index of the first atom of each."""
        return np.cumsum([0, *map(len, self.numbers)])[:-1]

    def pairs(self) -> np.ndarray:
        """(2, E) all pairs of atoms of the same molecule, both ways, sorted by the first."""
        found = []
        for first, numbers in zip(self.first_atoms(), self.numbers):
            i, j = np.nonzero(~np.eye(len(numbers), dtype=bool))
            found.append(np.stack([i, j]) + first)
        return np.concatenate(found, axis=1)


class Walk:
    """Positions, velocities and forces of all molecules: float64, Å, eV and ASE's unit of time.

    evaluate: puts the forces at ``positions`` into ``forces``, and atoms' energies into
    ``energies``. kelvin (M,): the temperature of each molecule.
    """

    def __init__(
        self,
        molecules: Molecules,
        kelvin: np.ndarray,
        positions: Tensor,
        energies: Tensor,
        forces: Tensor,
        evaluate: Callable[[], None],
        seed: int,
    ):
        def per_atom(array: np.ndarray) -> Tensor:
            sizes = [len(numbers) for numbers in molecules.numbers]
            return torch.tensor(np.repeat(array, sizes), device=positions.device)

        device = positions.device
        torch.manual_seed(seed)
        self.positions, self.energies, self.forces = positions, energies, forces
        self.evaluate = evaluate
        numbers = np.concatenate(molecules.numbers)
        self.masses = torch.tensor(atomic_masses[numbers], device=device)[:, None]
        self.molecule = per_atom(np.arange(len(molecules.names)))
        self.sizes = torch.bincount(self.molecule)
        self.thermal = (kB * per_atom(kelvin)[:, None] / self.masses).sqrt()
        positions.copy_(torch.tensor(np.concatenate(molecules.positions)))
        self.velocities = self.thermal * torch.randn_like(positions)
        bonds = [b + first for b, first in zip(molecules.bonds, molecules.first_atoms())]
        self.bonds = torch.tensor(np.concatenate(bonds).T, device=device)
        self.first_lengths = self.lengths()
        self.longest = torch.ones_like(self.first_lengths)
        evaluate()

    def lengths(self) -> Tensor:
        """(B,) of bonds."""
        i, j = self.bonds
        return (self.positions[i] - self.positions[j]).norm(dim=-1)

    def langevin(self, dt: float, friction: float) -> None:
        """A step of dt (fs); friction in 1/ps."""
        keep = float(np.exp(-friction * dt * 1e-3))
        half = 0.5 * dt * fs
        self.velocities += self.forces / self.masses * (dt * fs)
        self.positions += self.velocities * half
        self.velocities *= keep
        noise = torch.randn_like(self.velocities)
        self.velocities += noise * self.thermal * (1.0 - keep**2) ** 0.5
        self.positions += self.velocities * half
        self.evaluate()

    def verlet(self, dt: float) -> None:
        """A step of dt (fs) without a thermostat."""
        kick = self.forces / self.masses * (0.5 * dt * fs)
        self.velocities += kick
        self.positions += self.velocities * (dt * fs)
        self.evaluate()
        self.velocities += self.forces / self.masses * (0.5 * dt * fs)

    def watch(self) -> None:
        """Takes note of how long the bonds are. A molecule that is NaN stays so."""
        torch.maximum(self.longest, self.lengths() / self.first_lengths, out=self.longest)

    def kinetic(self) -> Tensor:
        """(M,) in eV."""
        return self.per_molecule(0.5 * self.masses[:, 0] * (self.velocities**2).sum(-1))

    def per_molecule(self, atoms: Tensor) -> Tensor:
        """(M,) sums of (N,)."""
        return torch.zeros(len(self.sizes), dtype=atoms.dtype, device=atoms.device).index_add(
            0, self.molecule, atoms
        )

    def temperatures(self) -> Tensor:
        """(M,) in K."""
        return 2.0 * self.kinetic() / (3.0 * self.sizes * kB)

    def total(self) -> Tensor:
        """(M,) energies in eV an atom."""
        return (self.kinetic() + self.per_molecule(self.energies)) / self.sizes

    def repeated(self, step: Callable[[], None], steps: int = STEPS) -> Callable[[], None]:
        """That many steps, and a look at the bonds; one graph where there is a GPU."""

        def run() -> None:
            for _ in range(steps):
                step()
            self.watch()

        if not self.positions.is_cuda:
            return run
        before = [x.clone() for x in (self.positions, self.velocities, self.longest)]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            step()
            self.watch()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        for x, was in zip((self.positions, self.velocities, self.longest), before):
            x.copy_(was)
        self.evaluate()
        return graph.replay


def walk_of(
    student: str, molecules: Molecules, kelvin: np.ndarray, seed: int, device: str = "cuda"
) -> Walk:
    """With the Triton kernels; device "cpu" is for Triton's interpreter."""
    on_gpu = CudaStudent(load_student(student), device)
    pairs, numbers = torch.tensor(molecules.pairs()), np.concatenate(molecules.numbers)
    work = on_gpu.step(len(numbers), pairs.shape[1])
    work.set_atoms(torch.tensor(numbers))
    work.set_edges(pairs, torch.zeros(pairs.shape[1], 3), by_centre=True)
    arrays = (work.positions, work.energies, work.forces)
    return Walk(molecules, kelvin, *arrays, work.run, seed)


def langevin(walk: Walk, picoseconds: float) -> list[dict]:
    """Of each molecule: see `md_stability.langevin`."""
    some = walk.repeated(lambda: walk.langevin(1.0, 1.0))
    rounds = round(picoseconds * 1000 / STEPS)
    temperatures, started = [], time.monotonic()
    for _ in range(rounds):
        some()
        temperatures.append(walk.temperatures())
    found = torch.stack(temperatures).cpu().numpy()  # waits
    ms = 1000 * (time.monotonic() - started) / (rounds * STEPS)
    longest = walk.longest.cpu().numpy()
    owner = walk.molecule[walk.bonds[0]].cpu().numpy()
    return [
        {
            "picoseconds": rounds * STEPS / 1000,
            **of_bonds(longest[owner == k]),
            "mean_temperature_k": float(found[len(found) // 10 :, k].mean()),
            "ms_per_step_of_all": ms,
        }
        for k in range(found.shape[1])
    ]


def nve(walk: Walk, picoseconds: float) -> list[dict]:
    """Of each molecule: see `md_stability.nve`."""
    warm = walk.repeated(lambda: walk.langevin(0.5, 5.0))
    for _ in range(4000 // STEPS):
        warm()
    some = walk.repeated(lambda: walk.verlet(0.5))
    energies = []
    for _ in range(round(picoseconds * 2000 / STEPS)):
        some()
        energies.append(walk.total())
    found = torch.stack(energies).cpu().numpy()
    times = np.arange(1, len(found) + 1) * STEPS * 0.0005
    return [drift(picoseconds, times, found[:, k]) for k in range(found.shape[1])]


def starts(arguments: argparse.Namespace) -> None:
    """Relaxed geometries; a bond's length there is what it is compared with."""
    import openmm
    from md_stability import positions, simulation

    from distill.data.molecules import read_molecules

    student, arrays = load_student(arguments.student), {}
    molecules = read_molecules(arguments.source)
    for k, molecule in enumerate(molecules):
        made = simulation(student, molecule, openmm.VerletIntegrator(0.001), 300.0, arguments.seed)
        arrays[f"numbers{k}"] = np.asarray(molecule.numbers)
        arrays[f"positions{k}"] = positions(made)
        bonds = [(b[0].index, b[1].index) for b in made.topology.bonds()]
        arrays[f"bonds{k}"] = np.array(bonds).reshape(-1, 2)
    np.savez(arguments.out, names=np.array([m.name for m in molecules]), **arrays)


def run(arguments: argparse.Namespace) -> None:
    """All MD of one student."""
    once = Molecules.load(arguments.starts)
    kelvin = np.repeat(arguments.temperatures, len(once.names))
    all_runs = Molecules.load(arguments.starts, len(arguments.temperatures))
    walked = langevin(walk_of(arguments.student, all_runs, kelvin, arguments.seed), arguments.ps)
    room = np.full(len(once.names), 300.0)
    drifts = nve(walk_of(arguments.student, once, room, arguments.seed), arguments.nve_ps)
    molecules = {
        name: {
            "atoms": len(once.numbers[k]),
            "nve": drifts[k],
            "langevin": {
                f"{t:g} K": walked[k + n * len(once.names)]
                for n, t in enumerate(arguments.temperatures)
            },
        }
        for k, name in enumerate(once.names)
    }
    result = {
        "molecules": molecules,
        "student": arguments.student,
        "gpu": torch.cuda.get_device_name(),
        **provenance(),
        "summary": summary(molecules),
    }
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["summary"], indent=2))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    prepare, go = verbs.add_parser("starts"), verbs.add_parser("run")
    for verb, does in ((prepare, starts), (go, run)):
        verb.set_defaults(does=does)
        verb.add_argument("student", help="name or file")
    prepare.add_argument("source", help="SMILES, file, or set (drugs:test:24)")
    go.add_argument("starts", type=Path, help="what `starts` wrote")
    for verb in (prepare, go):
        verb.add_argument("-o", "--out", type=Path, required=True)
        verb.add_argument("--seed", type=int, default=1)
    go.add_argument("--temperatures", type=float, nargs="+", default=[300.0, 500.0], help="in K")
    go.add_argument("--ps", type=float, default=100.0, help="of Langevin MD")
    go.add_argument("--nve-ps", type=float, default=20.0)
    arguments = parser.parse_args()
    arguments.does(arguments)


if __name__ == "__main__":
    main()
