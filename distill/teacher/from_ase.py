"""Any calculator that ASE can drive as a teacher.

Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017).
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import FileIOCalculator, PropertyNotImplementedError
from ase.calculators.genericfileio import GenericFileIOCalculator

from distill.charge import charge_of, spin_of
from distill.errors import DistillError, reason
from distill.teacher.ase_options import arguments, depends_on_geometry, named, of_geometry
from distill.teacher.base import Label
from distill.teacher.limit import OPTION, limited, time_limit

BOX = "periodic-box"
"""The name of the option of ours that puts a molecule into a cubic cell, with its side in Å."""
GAP = 6.0
"""Å between a molecule and its images, at least: the cutoff of many potentials."""
WANTS_CELL = re.compile(r"singular|\bcell|lattice|periodic|\bpbc\b|volume|vacuum|unit cell", re.I)
"""In what a calculator says of a molecule: it may want a cell."""


class ASETeacher:
    """A calculator class (or anything that returns a calculator) as a teacher.

    ``spec`` is ``ase:package.module:Class``; a function, or a method of the class as in
    ``Class.from_checkpoint``, will do, too. ``options`` go to it as keyword arguments; what their
    texts stand for (literals, objects, calls) is told in `distill.teacher.ase_options`.

    The charge and the multiplicity of a geometry reach the calculator as ``atoms.info["charge"]``
    and ``["spin"]`` and as initial charges and magnetic moments, which add up to them. ASE has no
    other common way: for a calculator that wants arguments, options may hold ``{charge}``,
    ``{spin}`` and ``{unpaired}``. Energies are those that belong to the forces (ASE's free energy)
    where the calculator tells them apart. ASE cannot know whether forces are the derivative of the
    energy: ``conservative`` takes it for granted.

    Two options are not the class's: ``time-limit``, the seconds that one geometry may take (see
    `distill.teacher.limit`), and ``periodic-box``, the side in Å of a cubic cell that molecules
    are put into, for calculators that know no molecule without one. A program that writes files
    does so in a folder of this process, under the option ``directory`` if there is one.

    Raises DistillError when the class cannot be imported or refuses the options; many of ASE's
    classes take any option and ignore it, so one that the class does not list gives a warning.
    """

    conservative = True

    def __init__(self, spec: str, options: Mapping[str, str] | None = None) -> None:
        self.name = spec
        module, self._class = _find(spec)
        self.version = _version(module.split(".")[0])
        self._limit = time_limit(options)
        self._box = _box(options)
        self._options = {k: v for k, v in (options or {}).items() if k not in (OPTION, BOX)}
        self._by_geometry = depends_on_geometry(self._options)
        self._made_for = (0, 1)
        self._dtype: Any = None
        with self._its_torch():
            self._calculator = self._new_calculator()
        self._warn_of_unlisted_options()

    def label(self, geometries: Sequence[Atoms]) -> list[Label]:
        """Label geometries one by one; whatever the calculator raises is the ``Label.error``, but
        for a Ctrl-C."""
        labels = []
        for atoms in geometries:
            try:
                with limited(self._limit), self._its_torch():
                    label = self._label(atoms)
            except BaseException as error:  # calculators raise what they like, SystemExit too
                if isinstance(error, KeyboardInterrupt) and _from_the_keyboard():
                    raise
                why = reason(error)
                if self._box is None and not atoms.pbc.any() and WANTS_CELL.search(why):
                    why += (
                        f"; if it knows no molecule without a periodic cell, give --teacher-option "
                        f"{BOX}=20, the side of a cubic one in Å"
                    )
                label = Label.failed(len(atoms), f"{self.name}: {why}")
                self._calculator = None  # do not trust its state
            labels.append(label)
        return labels

    def _label(self, atoms: Atoms) -> Label:
        bare = _with_charge_and_spin(atoms)
        charge, spin = bare.info["charge"], bare.info["spin"]
        self._check_charge(charge)
        boxed = self._box is not None and not bare.pbc.any()
        if boxed:
            _put_into_box(bare, self._box or 0.0)
        if self._calculator is None or (self._by_geometry and self._made_for != (charge, spin)):
            self._calculator, self._made_for = None, (charge, spin)
            self._calculator = self._new_calculator()
        bare.calc = self._calculator
        forces = bare.get_forces(apply_constraint=False)
        try:
            energy = bare.get_potential_energy(force_consistent=True)
        except (PropertyNotImplementedError, KeyError):
            energy = bare.get_potential_energy()
        stress = None
        if bare.pbc.all() and not boxed:
            try:
                stress = bare.get_stress(voigt=False, apply_constraint=False)
            except (PropertyNotImplementedError, KeyError):
                pass  # a teacher without stress
        return Label.checked(atoms, energy, forces, stress)

    @contextmanager
    def _its_torch(self) -> Iterator[None]:
        """MACE and others set torch's default type and count on it; students count on float32."""
        torch = sys.modules.get("torch")
        ours = torch.get_default_dtype() if torch else None
        if torch and self._dtype is not None:
            torch.set_default_dtype(self._dtype)
        try:
            yield
        finally:
            torch = sys.modules.get("torch")
            if torch:
                self._dtype = torch.get_default_dtype()
                torch.set_default_dtype(ours or torch.float32)

    def _new_calculator(self) -> Any:
        given = ", ".join(f"{key}={value}" for key, value in self._options.items())
        try:
            calculator = self._class(**arguments(self._options, of_geometry(*self._made_for)))
        except DistillError:
            raise
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
        if isinstance(calculator, FileIOCalculator | GenericFileIOCalculator):
            self._give_folder(calculator)
        return calculator

    def _give_folder(self, calculator: Any) -> None:
        """Processes that label side by side must not write over each other's files."""
        if "directory" in self._options:
            folder = Path(calculator.directory) / f"process-{os.getpid()}"
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="distill-")
            folder = Path(self._folder.name)
        # one of ASE's two kinds has a text there
        calculator.directory = type(calculator.directory)(folder)

    def _check_charge(self, charge: int) -> None:
        """An option that says another charge than the geometry would give a wrong label."""
        given = self._options.get("charge", "")
        if re.fullmatch(r"[+-]?\d+(\.0*)?", given) and float(given) != charge:
            raise ValueError(
                f"the option charge is {given}, but the charge of this molecule is {charge}; give "
                "--teacher-option charge={charge}"
            )

    def _warn_of_unlisted_options(self) -> None:
        # not an error: Psi4 and others hand options on to a program that knows more of them
        listed = set(getattr(self._class, "default_parameters", {}))
        if not listed or not inspect.isclass(self._class):
            return
        for base in inspect.getmro(self._class):
            listed |= inspect.signature(
                vars(base).get("__init__", object.__init__)
            ).parameters.keys()
        for key in {key for key in self._options if "." not in key} - listed:
            warnings.warn(
                f"{self.name} does not list '{key}' among its parameters and may ignore it; "
                "check the spelling.",
                stacklevel=3,
            )


def _from_the_keyboard() -> bool:
    """Whether a KeyboardInterrupt may be the user's: workers that ignore Ctrl-C get none."""
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def _find(spec: str) -> tuple[str, Any]:
    """The module's name and what ``ase:package.module:Class`` stands for."""
    parts = spec.split(":")
    if len(parts) != 3 or parts[0] != "ase" or not all(parts):
        raise DistillError(
            f"'{spec}' names no calculator; write ase:package.module:Class, "
            "for example ase:ase.calculators.emt:EMT."
        )
    _, module, name = parts
    found = named(f"{module}:{name}", f"The teacher {spec}")
    if not callable(found):
        raise DistillError(
            f"{spec} is no class or function; check the spelling of ase:package.module:Class."
        )
    return module, found


def _box(options: Mapping[str, str] | None) -> float | None:
    text = (options or {}).get(BOX)
    if text is None:
        return None
    try:
        side = float(text)
    except ValueError:
        side = math.nan
    if not 0 < side < math.inf:
        raise DistillError(f"The option {BOX} is '{text}'; give the side of a cubic cell in Å.")
    return side


def _put_into_box(atoms: Atoms, side: float) -> None:
    """The molecule in the middle of a cubic periodic cell.

    Raises ValueError when its images would come nearer than GAP.
    """
    length = float(np.ptp(atoms.positions, axis=0).max(initial=0.0))
    if length + GAP > side:
        raise ValueError(
            f"the molecule is {length:.1f} Å long and comes within {GAP:g} Å of its images in a "
            f"{BOX} of {side:g} Å; give --teacher-option {BOX}={math.ceil(length + 2 * GAP)}"
        )
    atoms.set_cell([side, side, side])
    atoms.pbc = True
    atoms.center()


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
