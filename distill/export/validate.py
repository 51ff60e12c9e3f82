"""Runs an exported file on geometries, against the student in float64."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from numpy.typing import NDArray

from distill.bench.systems import system
from distill.errors import DistillError
from distill.student.neighbours import INPUTS, exported_inputs, neighbour_list
from distill.student.student import Student

PER_ATOM, PER_FORCE = 1e-5, 1e-4
"""eV/atom and eV/Å: the tolerance of every route."""

Array = NDArray[Any]
Run = Callable[..., tuple[Array, Array]]


def runner(path: str | Path, kind: str) -> Run:
    """A function of numpy's positions, numbers, edge_index and edge_shift: energy, forces."""
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda *arrays: session.run(["energy", "forces"], dict(zip(INPUTS, arrays)))
    load = torch.jit.load if kind == "torchscript" else torch._inductor.aoti_load_package
    return partial(_run_torch, load(str(path)))


def _run_torch(model: Any, *arrays: Array) -> tuple[Array, Array]:
    energy, forces = model(*(torch.from_numpy(array) for array in arrays))
    return energy.detach().numpy(), forces.detach().numpy()


def validate(path: str | Path, kind: str, student: Student, systems: list[Atoms]) -> None:
    """DistillError when a file's answers differ from the float64 student's by too much.

    kind: "torchscript", "onnx" or "aoti".
    """
    run = runner(path, kind)
    exact = copy.deepcopy(student).double().eval()
    for atoms in systems:
        cutoff = student.config.cutoff
        found = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
        x, numbers, edges, s = exported_inputs(atoms.positions, atoms.numbers, found, cutoff)
        energy, forces = run(x, numbers, edges, s)
        arguments = (x.astype(np.float64), numbers, edges, s.astype(np.float64))
        right = exact(*(torch.from_numpy(array) for array in arguments))
        per_atom = abs(float(energy) - right[0].item()) / len(atoms)
        per_force = np.abs(forces - right[1].detach().numpy()).max(initial=0.0)
        if not (per_atom < PER_ATOM and per_force < PER_FORCE):
            raise DistillError(
                f"The {kind} file is wrong: on {atoms.get_chemical_formula()} it is off by "
                f"{per_atom:.1e} eV/atom and {per_force:.1e} eV/Å (allowed: {PER_ATOM:g} and "
                f"{PER_FORCE:g}); nothing was written. --no-validate writes it all the same."
            )


def systems_for(student: Student) -> list[Atoms]:
    """Geometries of the student's elements: molecules, one atom alone, a periodic cell; one of the
    molecules is large enough for a runtime to take several threads."""
    known = set(student.config.elements)
    found = [molecule(name) for name in ("CH3CONH2", "C5H5N", "CH3SH", "C6H6", "HCOOCH3", "H2O")]
    for atoms in found:
        atoms.rattle(0.03, seed=len(atoms))
    cell = molecule("CH3OH")
    cell.set_cell([[4.2, 0.0, 0.0], [0.6, 4.0, 0.0], [-0.4, 0.5, 4.3]])
    cell.pbc = True
    alone = Atoms([student.config.elements[0]], [[0.0, 0.0, 0.0]])
    return [atoms for atoms in [*found, system(50), cell, alone] if set(atoms.numbers) <= known]
