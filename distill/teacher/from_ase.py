"""Any calculator that ASE can drive as a teacher.

Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import signal
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from distill.charge import charge_of, spin_of
from distill.errors import DistillError, reason
from distill.teacher.base import Label
from distill.teacher.limit import OPTION, limited, time_limit


class ASETeacher:
    """A calculator class (or a function that returns a calculator) as a teacher.

    ``spec`` is ``ase:package.module:Class``. ``options`` go to the class as keyword arguments,
    each read as a Python literal where it is one (``rc=7.5``, ``kpts=(2,2,1)``, ``pbc=true``),
    else as a string.

    The charge and the multiplicity of a geometry reach the calculator as ``atoms.info`` and as
    initial charges and magnetic moments, which add up to them; ASE has no other common way, so
    a calculator that wants an argument instead needs it as an option. Energies are those that
    belong to the forces (ASE's free energy) where the calculator tells them apart. ASE cannot
    know whether forces are the derivative of the energy: ``conservative`` takes it for granted.

    The option ``time-limit`` is not the class's: so many seconds may one geometry take (see
    `distill.teacher.limit`).

    Raises DistillError when the class cannot be imported or refuses the options; many of ASE's
    classes take any option and ignore it, so one that the class does not list gives a warning.
    """

    conservative = True

    def __init__(self, spec: str, options: Mapping[str, str] | None = None) -> None:
        self.name = spec
        module, self._class = _find(spec)
        self.version = _version(module.split(".")[0])
        self._limit = time_limit(options)
        self._options = {k: _literal(value) for k, value in (options or {}).items() if k != OPTION}
        self._calculator = self._new_calculator()
        self._warn_of_unlisted_options()

    def label(self, geometries: Sequence[Atoms]) -> list[Label]:
        """Label geometries one by one; whatever the calculator raises is the ``Label.error``, but
        for a Ctrl-C."""
        labels = []
        for atoms in geometries:
            try:
                with limited(self._limit):
                    if self._calculator is None:
                        self._calculator = self._new_calculator()
                    label = self._label(atoms)
            except BaseException as error:  # calculators raise what they like, SystemExit too
                if isinstance(error, KeyboardInterrupt) and _from_the_keyboard():
                    raise
                label = Label.failed(len(atoms), f"{self.name}: {reason(error)}")
                self._calculator = None  # do not trust its state
            labels.append(label)
        return labels

    def _label(self, atoms: Atoms) -> Label:
        bare = _with_charge_and_spin(atoms)
        bare.calc = self._calculator
        forces = bare.get_forces(apply_constraint=False)
        try:
            energy = bare.get_potential_energy(force_consistent=True)
        except (PropertyNotImplementedError, KeyError):
            energy = bare.get_potential_energy()
        stress = None
        if bare.pbc.all():
            try:
                stress = bare.get_stress(voigt=False, apply_constraint=False)
            except (PropertyNotImplementedError, KeyError):
                pass  # a teacher without stress
        return Label.checked(atoms, energy, forces, stress)

    def _new_calculator(self) -> Any:
        given = ", ".join(f"{key}={value!r}" for key, value in self._options.items())
        try:
            calculator = self._class(**self._options)
        except (Exception, SystemExit) as error:  # a wrong argument, a missing program or file
            raise DistillError(
                f"{self.name} cannot be set up with {given or 'no options'} ({reason(error)}); "
                "install what it needs, or give it with --teacher-option key=value."
            ) from error
        if not hasattr(calculator, "get_potential_energy"):
            raise DistillError(
                f"{self.name} is no ASE calculator but makes a {type(calculator).__name__}; "
                "name a calculator class as ase:package.module:Class."
            )
        return calculator

    def _warn_of_unlisted_options(self) -> None:
        # not an error: Psi4 and others hand options on to a program that knows more of them
        listed = set(getattr(self._class, "default_parameters", {}))
        if not listed:
            return
        for base in self._class.__mro__:
            listed |= inspect.signature(base.__init__).parameters.keys()
        for key in self._options.keys() - listed:
            warnings.warn(
                f"{self.name} does not list '{key}' among its parameters and may ignore it; "
                "check the spelling.",
                stacklevel=3,
            )


def _from_the_keyboard() -> bool:
    """Whether a KeyboardInterrupt may be the user's: workers that ignore Ctrl-C get none."""
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def _find(spec: str) -> tuple[str, Any]:
    """The module's name and the class that ``ase:package.module:Class`` stands for."""
    parts = spec.split(":")
    if len(parts) != 3 or parts[0] != "ase" or not all(parts):
        raise DistillError(
            f"'{spec}' names no calculator; write ase:package.module:Class, "
            "for example ase:ase.calculators.emt:EMT."
        )
    _, module, name = parts
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        raise DistillError(
            f"The teacher {spec} cannot be imported ({reason(error)}); install the package "
            "that brings it, or put the folder of your own module on PYTHONPATH."
        ) from error
    if not callable(getattr(found, name, None)):
        raise DistillError(
            f"The module {module} has no class '{name}'; check the spelling of "
            "ase:package.module:Class."
        )
    return module, getattr(found, name)


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):  # as strings both would count as true
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@cache  # looking through all installed packages takes a second
def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # the package has another name on the index than in Python
        pass
    distributions = packages_distributions().get(package)
    if distributions:
        return f"{distributions[0]} {version(distributions[0])}"
    own = getattr(importlib.import_module(package), "__version__", None)
    return f"{package} {own}" if own else f"{package}, version unknown"


def _with_charge_and_spin(atoms: Atoms) -> Atoms:
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    charge, spin = charge_of(atoms) or 0, spin_of(atoms) or 1
    bare.info.update(charge=charge, spin=spin)
    if charge:
        bare.set_initial_charges(np.full(len(atoms), charge / len(atoms)))
    if spin != 1:
        bare.set_initial_magnetic_moments(np.full(len(atoms), (spin - 1) / len(atoms)))
    return bare
