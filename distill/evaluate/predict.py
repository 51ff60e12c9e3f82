"""A student's answers beside the teacher's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame, check_frames
from distill.student import Student
from distill.student.neighbours import neighbour_list


@dataclass(frozen=True)
class Predictions:
    """Reference and predicted energies and forces of M frames, their atoms laid end to end.

    names: M molecule names. n_atoms (M,). numbers (A,) with A the sum of n_atoms. energy_ref and
    energy_pred (M,) eV. forces_ref and forces_pred (A, 3) eV/Å. temperature (M,) K, NaN where
    unknown. source: M strings, "" where unknown.
    """

    names: tuple[str, ...]
    n_atoms: np.ndarray
    numbers: np.ndarray
    energy_ref: np.ndarray
    energy_pred: np.ndarray
    forces_ref: np.ndarray
    forces_pred: np.ndarray
    temperature: np.ndarray
    source: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        return len(self.names)

    @property
    def frame_of_atom(self) -> np.ndarray:
        """(A,) index of each atom's frame."""
        return np.repeat(np.arange(self.n_frames), self.n_atoms)

    def single_molecule(self) -> np.ndarray | None:
        """(N,) atomic numbers when all frames are of one molecule in one order, else None."""
        n = int(self.n_atoms[0])
        if len(set(self.names)) > 1 or (self.n_atoms != n).any():
            return None
        numbers = self.numbers.reshape(-1, n)
        return numbers[0] if (numbers == numbers[0]).all() else None


def predict(
    student: Student,
    frames: Sequence[LabelledFrame],
    *,
    batch: int = 32,
    max_atoms: int = 2048,
    progress: bool = True,
) -> Predictions:
    """Ask the student for every frame, in batches of disconnected graphs, on the student's device.

    batch: frames at once, at most. max_atoms: atoms at once (a larger frame goes alone).

    Raises DistillError for unknown elements and charges (before any work), for bad frames, and
    where the student's answer is not finite.
    """
    check_frames(frames, "The data")
    student.check_elements(np.unique(np.concatenate([frame.numbers for frame in frames])))
    for charge in {frame.charge for frame in frames}:
        student.check_charge(charge)

    energies: list[np.ndarray] = []
    forces: list[np.ndarray] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(quiet=not progress)  # where nobody looks, rich prints an empty line
    with Progress(*columns, disable=not progress, console=console) as bar:
        task = bar.add_task("Evaluating frames", total=len(frames))
        for start, stop in _batches([len(frame.numbers) for frame in frames], batch, max_atoms):
            e, f = _predict_batch(student, frames[start:stop])
            if not (np.isfinite(e).all() and np.isfinite(f).all()):
                raise DistillError(
                    f"The student gives NaN or infinity within frames {start} to {stop - 1} "
                    f"({frames[start].name} ...); look for overlapping atoms there."
                )
            energies.append(e)
            forces.append(f)
            bar.advance(task, stop - start)

    return Predictions(
        names=tuple(frame.name for frame in frames),
        n_atoms=np.array([len(frame.numbers) for frame in frames]),
        numbers=np.concatenate([frame.numbers for frame in frames]).astype(np.int64),
        energy_ref=np.array([frame.energy for frame in frames], dtype=float),
        energy_pred=np.concatenate(energies),
        forces_ref=np.concatenate([frame.forces for frame in frames]).astype(float),
        forces_pred=np.concatenate(forces),
        temperature=np.array([frame.temperature for frame in frames], dtype=float),
        source=tuple(frame.source for frame in frames),
    )


def _batches(n_atoms: Sequence[int], batch: int, max_atoms: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive frames, within both limits or one frame alone."""
    cuts, held, atoms = [0], 0, 0
    for k, n in enumerate(n_atoms):
        if held and (held == batch or atoms + n > max_atoms):
            cuts.append(k)
            held, atoms = 0, 0
        held, atoms = held + 1, atoms + n
    yield from pairwise([*cuts, len(n_atoms)])


def _predict_batch(
    student: Student, frames: Sequence[LabelledFrame]
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (B,) and forces (sum of N, 3) of frames, evaluated as one graph."""
    parameter = next(student.parameters())
    n_atoms = [len(frame.numbers) for frame in frames]
    offsets = np.concatenate([[0], np.cumsum(n_atoms)[:-1]])
    lists = [neighbour_list(f.positions, f.cell, f.pbc, student.config.cutoff) for f in frames]
    positions = np.concatenate([frame.positions for frame in frames])
    edge_index = np.concatenate(
        [index + k for (index, _), k in zip(lists, offsets, strict=True)], axis=1
    )
    edge_shift = np.concatenate([shift for _, shift in lists])

    atomic, forces, _ = student.evaluate(
        torch.as_tensor(positions).to(parameter),
        torch.as_tensor(
            np.concatenate([frame.numbers for frame in frames]).astype(np.int64),
            device=parameter.device,
        ),
        torch.as_tensor(edge_index.astype(np.int64), device=parameter.device),
        torch.as_tensor(edge_shift).to(parameter),
    )
    energies = np.add.reduceat(atomic.detach().double().cpu().numpy(), offsets)
    return energies, forces.detach().double().cpu().numpy()
