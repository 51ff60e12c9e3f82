"""``create_force``: a student as an OpenMM force."""

import copy
import logging
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from distill.engine_arguments import (
    check_choice,
    check_device,
    check_indices,
    check_skin,
    check_threads,
)
from distill.errors import DistillError
from distill.kernels import KernelModule, choose_backend, kernel_on
from distill.student import Student, load_student
from distill.student.latent import Alarm
from distill_openmm.computation import (
    Computation,
    Evaluate,
    KernelEvaluate,
    TorchEvaluate,
    too_few,
)
from distill_openmm.module import OpenMMStudent
from distill_openmm.selection import check_atoms

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


def create_force(
    student: str | Path | Student,
    topology: Any,
    atoms: Iterable[int] | None = None,
    *,
    periodic: bool | None = None,
    dtype: str = "float32",
    skin: float = 1.0,
    kind: str = "torch",
    device: str = "cpu",
    backend: str = "auto",
    threads: int | None = None,
    system: Any = None,
) -> Any:
    """The student as an ``openmmtorch.TorchForce``, to be added to a System.

    student: a shipped name, a file, or a Student (which is copied).
    topology: the ``openmm.app.Topology``, for the elements. Its atoms are the first particles of
    the System, which may have more of them (virtual sites, a restraint's dummy): the student does
    not see those. A System of fewer is refused when it is evaluated, by an OpenMMException.
    atoms: indices of the atoms the student acts on (mixed ML/MM systems); None for all.
    periodic: None takes it from the topology, which is periodic when it has box vectors.
    dtype: "float32" or "float64", the precision of the network; distances are always computed in
    that of OpenMM's positions.
    skin: Å beyond the cutoff that the neighbour list holds; it is built anew when an atom has
    moved half of it.
    kind: "torch" gives a TorchForce, which computes where its Context does; "python" an
    ``openmm.PythonForce``, some 16 us a step slower, which computes on ``device``. A TorchForce
    cannot be copied (``copy.deepcopy`` of its System, ``CustomCVForce``) nor read from XML: the
    reader in openmmtorch 1.10 does not fit OpenMM 8.6.1, and the process dies. A PythonForce can;
    OpenMM's XML holds it as a pickle; through a fused kernel it warns when an atom is unlike all
    that the student has learned, at the first geometry of that kind and again when their number has
    grown tenfold. Geometries that a minimizer only tries are not looked at. ``force.alarm`` has the
    counts (see ``distill.student.latent.Alarm``). A TorchForce has no alarm.

    backend: "kernel" (the fused one: on CPUs, and on GPUs with kind "python" and float32), "torch",
    or "auto", which takes the fastest that is there. threads: how many the CPU kernel may use on
    large systems (None: as many as torch); a small molecule is fastest with one, and gets one.
    system: the ``openmm.System`` that the force will be added to, where all its particles are there
    already: then their number is checked at once, and OpenMM hands over the positions of ``atoms``
    alone, which kind "python" gains from when there are tens of thousands of others.

    Through torch, when it uses several threads on a busy machine, they wait for each other by
    spinning, on time that OpenMM's threads need: call ``torch.set_num_threads(1)``.

    The energy includes the isolated atoms' energies. Raises DistillError for an element that the
    student does not know, for indices that are not there or twice, and without openmmtorch.
    """
    check_choice("kind", kind, ("torch", "python"))
    check_choice("dtype", dtype, PRECISIONS)
    skin = check_skin(skin, positive=True)
    threads = None if threads is None else check_threads(threads)
    device = check_device(device)
    if periodic not in (None, True, False) or isinstance(periodic, float):
        raise DistillError(f"periodic is {periodic!r}; use True, False or None.")
    for given, name, method in ((topology, "topology", "atoms"), (system, "system", "addForce")):
        if not hasattr(given, method) and not (given is None and name == "system"):
            raise DistillError(
                f"{name} is of the type {type(given).__name__}; give an "
                f"{'openmm.app.Topology' if name == 'topology' else 'openmm.System'}."
            )
    # a TorchForce may run on any platform: its module decides at each call
    chosen_backend = choose_backend(backend, device if kind == "python" else "cpu", dtype)
    own = copy.deepcopy(student) if isinstance(student, Student) else load_student(student)
    own = own.eval().requires_grad_(False).to(device="cpu", dtype=PRECISIONS[dtype])
    chosen = None if atoms is None else check_indices("atoms", atoms)
    numbers = atomic_numbers(topology, chosen)
    own.check_elements(numbers)
    needed = 1 + max(chosen) if chosen else len(numbers)
    if system is not None and system.getNumParticles() < needed:
        raise DistillError(too_few(system.getNumParticles(), needed))
    if periodic is None:
        periodic = topology.getPeriodicBoxVectors() is not None

    if kind == "torch":
        kernel = None
        if chosen_backend == "kernel":
            threads = threads or torch.get_num_threads()
            kernel = KernelModule(own, dtype, skin=float(skin), threads=threads)
        force = torch_force(OpenMMStudent(own, numbers, chosen, float(skin), kernel).eval())
    else:
        evaluate: Evaluate
        alarm = None
        if chosen_backend == "kernel":
            evaluate = KernelEvaluate(kernel_on(device, own, dtype, float(skin), threads), numbers)
            alarm = Alarm(own.latent) if own.latent else None
        else:
            module = OpenMMStudent(own, numbers, None, float(skin)).eval().to(device)
            evaluate = TorchEvaluate(module)
        # OpenMM checks no index here, and a wrong one would spoil its memory
        alone = chosen if system is not None else None
        particles = None if alone is not None else chosen
        computation = Computation(evaluate, numbers, particles, bool(periodic), alarm)
        force = python_force(computation, alone)
        force.alarm, force.computation = alarm, computation
    force.setUsesPeriodicBoundaryConditions(bool(periodic))
    return force


def atomic_numbers(topology: Any, atoms: list[int] | None) -> list[int]:
    """Atomic numbers of the chosen atoms of a topology (None: all)."""
    everyone = list(topology.atoms())
    if atoms is None:
        atoms = list(range(len(everyone)))
    check_atoms(atoms, len(everyone))
    numbers = []
    for index in atoms:
        element = everyone[index].element
        if element is None:
            raise DistillError(
                f"Atom {index} ({everyone[index].name}) has no element, so the student cannot act "
                "on it; leave it out of the student's atoms."
            )
        numbers.append(int(element.atomic_number))
    return numbers


def torch_force(module: OpenMMStudent) -> Any:
    """The scripted module as a TorchForce; DistillError without openmmtorch."""
    # it imports OpenMM by its old name, and OpenMM says so on the root logger
    quiet = logging.getLogger()
    quiet.addFilter(_not_deprecated_name)
    try:
        import openmmtorch
    except ImportError as error:
        raise DistillError(
            f"OpenMM or its torch plugin cannot be imported ({error}); "
            "run pip install 'mlff-distiller[openmm]'."
        ) from error
    finally:
        quiet.removeFilter(_not_deprecated_name)
    with warnings.catch_warnings():
        # TorchForce takes TorchScript and nothing else
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        scripted = torch.jit.script(module)
        # TorchForce freezes the module, and frozen calls point to functions that are freed with
        # what it was made of: an error inside of one would end the process while torch looks for
        # its name. A graph without calls can report errors.
        torch._C._jit_pass_inline(scripted.graph)
        force = openmmtorch.TorchForce(scripted)
    force.setOutputsForces(True)
    return force


def python_force(function: Callable[[Any], Any], atoms: list[int] | None) -> Any:
    """A function of a State as a PythonForce on the given atoms (None: all)."""
    import openmm

    force = openmm.PythonForce(function)
    if atoms is not None:
        force.setParticles(atoms)
    return force


def _not_deprecated_name(record: logging.LogRecord) -> bool:
    return "simtk.openmm" not in record.getMessage()
