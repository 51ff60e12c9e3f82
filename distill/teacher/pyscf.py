"""Density functional theory as a teacher, through PySCF.

Sun et al., J. Chem. Phys. 153, 024109 (2020). What functionals and basis sets there are is in
`distill.teacher.pyscf_methods`.
"""

from __future__ import annotations

import atexit
import fcntl
import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from distill.charge import charge_of, spin_of
from distill.errors import DistillError, reason
from distill.teacher.base import Label
from distill.teacher.limit import OPTION, TookTooLong, limited, time_limit
from distill.teacher.pyscf_methods import Basis, find_basis, find_method

DEVICES = ("auto", "cpu", "gpu")
# the options, and what reads the text of each
OPTIONS: dict[str, Callable[[str], Any]] = {
    "threads": int,
    "memory": int,
    "grids": int,
    "max_cycle": int,
    "conv_tol": float,
    "device": str,
}
SCRATCH = "distill-pyscf-"


class PySCFTeacher:
    """Kohn-Sham DFT, or Hartree-Fock, with density fitting.

    ``name`` is ``pyscf:functional/basis``, for example ``pyscf:r2scan-d4/def2-svp``; upper and
    lower case are the same, and ``self.name`` is in lower case. A suffix ``-d3bj`` or ``-d4``
    (also ``-d3zero`` and others that PySCF takes) adds that dispersion correction to energies and
    forces. Elements whose basis set belongs to an effective core potential get that potential.
    The charge and the multiplicity are those of the geometry; another multiplicity than 1 is
    calculated spin-unrestricted.

    ``options`` may hold ``threads`` (1), ``memory`` (MB for each process, 4000 or less where
    there is less for each core), ``grids`` (PySCF's level of the integration grid, 0 to 9: 3),
    ``max_cycle`` (50), ``conv_tol`` (1e-9 hartree) and ``device`` ("cpu", "gpu", or "auto": a GPU
    where gpu4pyscf is installed; that way is untested), and ``time-limit``: the seconds that one
    geometry may take (see `distill.teacher.limit`).

    Raises DistillError when PySCF is not installed, and for a functional, basis set, dispersion
    correction or option that it does not have.
    """

    conservative = True

    def __init__(self, name: str, options: Mapping[str, str] | None = None) -> None:
        self.name = name.lower()
        functional, slash, basis = self.name.removeprefix("pyscf:").partition("/")
        if not (functional and slash and basis):
            raise DistillError(
                f"'{name}' names no functional and basis set; write pyscf:functional/basis, for "
                "example pyscf:r2scan-d4/def2-svp."
            )
        self._limit = time_limit(options)
        self._options = _read_options(options or {})
        if importlib.util.find_spec("pyscf") is None:
            raise DistillError(f"{name} needs PySCF; `pip install 'mlff-distiller[dft]'`.")
        self._gpu = _wants_gpu(self._options["device"])
        with _quiet(self._options["threads"]):
            self._method = find_method(functional)
            self._basis = find_basis(basis)
            self._try_out(functional)
        self.version = _version(self._method.dispersion is not None, self._gpu)
        self._last: tuple[object, Any] | None = None

    def label(self, geometries: Sequence[Atoms]) -> list[Label]:
        """Label geometries one by one, starting from the last density of the same molecule."""
        labels = []
        with _quiet(self._options["threads"]):
            for atoms in geometries:
                try:
                    with limited(self._limit):
                        label = self._label(atoms)
                except (Exception, TookTooLong) as error:  # PySCF raises what it likes
                    label = Label.failed(len(atoms), f"{self.name}: {reason(error)}")
                    self._last = None  # not to be trusted
                labels.append(label)
        return labels

    def _label(self, atoms: Atoms) -> Label:
        charge, spin = charge_of(atoms) or 0, spin_of(atoms) or 1
        if atoms.pbc.any():
            raise ValueError("it labels molecules, and this geometry is periodic")
        if not np.isfinite(atoms.positions).all():
            raise ValueError("the positions are not finite")
        molecule = self._molecule(atoms, charge, spin, self._basis)
        system = (atoms.numbers.tobytes(), charge, spin)
        start = self._last[1] if self._last and self._last[0] == system else None
        energy, forces, density = self._solve(molecule, start, self._options)
        label = Label.checked(atoms, energy, forces)
        self._last = (system, density)
        return label

    def _molecule(self, atoms: Atoms, charge: int, spin: int, basis: Basis) -> Any:
        from pyscf import gto

        cores = {symbol: basis.core(symbol) for symbol in sorted(set(atoms.symbols))}
        electrons = int(atoms.numbers.sum()) - charge
        if electrons < spin - 1 or (electrons - spin) % 2 == 0:
            raise ValueError(f"{electrons} electrons cannot have the multiplicity {spin}")
        return gto.M(
            # in bohr, since PySCF has a value of its own for it
            atom=list(zip(atoms.symbols, atoms.positions / Bohr, strict=True)),
            unit="Bohr",
            basis=basis.name,
            ecp={symbol: core for symbol, core in cores.items() if core},
            charge=charge,
            spin=spin - 1,
            max_memory=self._options["memory"],
            verbose=0,
            parse_arg=False,
        )

    def _solve(
        self, molecule: Any, start: Any, options: Mapping[str, Any]
    ) -> tuple[float, np.ndarray, Any]:
        """Energy in eV, forces (N, 3) in eV/Å and the density matrix."""
        field = self._mean_field(molecule, options)
        field.kernel(dm0=start)
        if not field.converged:
            field = field.newton()  # second order: slower, and surer
            field.kernel(dm0=field.get_init_guess(molecule, field.init_guess))
        if not field.converged:
            raise ValueError(
                f"the SCF has not converged within {field.max_cycle} cycles, by second order "
                "neither; --teacher-option max_cycle=N allows more"
            )
        gradients = field.nuc_grad_method()
        if self._method.xc != "hf":
            # Without the grid's response a force of r2SCAN in methanol was 0.007 eV/Å off the
            # derivative of its energy at level 3; with it, none is, and it costs no more.
            gradients.grid_response = True
        forces = -_on_cpu(gradients.kernel()) * (Hartree / Bohr)
        return float(field.e_tot) * Hartree, forces, field.make_rdm1()

    def _mean_field(self, molecule: Any, options: Mapping[str, Any]) -> Any:
        from pyscf import df, dft, scf

        method, restricted = self._method, molecule.spin == 0
        if method.xc == "hf":
            field = (scf.RHF if restricted else scf.UHF)(molecule)
        else:
            field = (dft.RKS if restricted else dft.UKS)(molecule, xc=method.xc)
            field.nlc = method.nlc
            field.grids.level = options["grids"]
            field.nlcgrids.level = min(options["grids"], field.nlcgrids.level)
        field.disp = method.dispersion
        field.max_cycle = options["max_cycle"]
        field.conv_tol = options["conv_tol"]
        # PySCF's own choice of fitting functions, but element by element: it fails for a molecule
        # with an element that they lack, where others can be generated for that one.
        xc = method.xc
        if not df.addons.predefined_auxbasis(molecule, molecule.basis, xc):
            xc = "hf"  # its functions serve too, and err less than generated ones
        field = field.density_fit(auxbasis=df.make_auxbasis(molecule, xc=xc))
        return field.to_gpu() if self._gpu else field

    def _try_out(self, functional: str) -> None:
        """H2 in a small basis: names now what would else fail at each geometry."""
        pair = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
        try:
            molecule = self._molecule(pair, 0, 1, Basis("sto-3g"))
            self._solve(molecule, None, {"grids": 0, "max_cycle": 50, "conv_tol": 1e-6})
        except Exception as error:  # a functional without derivatives, a GPU that does not work
            raise DistillError(
                f"PySCF cannot label with {functional} ({reason(error)}); choose another "
                "functional."
            ) from error


def _read_options(given: Mapping[str, str]) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    share = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6 // cores
    options: dict[str, Any] = {
        "threads": 1,
        "memory": max(1000, min(4000, share)),
        "grids": 3,
        "max_cycle": 50,
        "conv_tol": 1e-9,
        "device": "auto",
    }
    for key, text in given.items():
        if key == OPTION:
            continue
        if key not in OPTIONS:
            raise DistillError(
                f"A PySCF teacher has no option '{key}'; there are {', '.join([*OPTIONS, OPTION])}."
            )
        try:
            value = options[key] = OPTIONS[key](text)
        except ValueError:
            value = None
        if key == "device":
            if value not in DEVICES:
                raise DistillError(f"The device is '{text}'; choose of {', '.join(DEVICES)}.")
        elif key == "grids":
            if value not in range(10):
                raise DistillError(f"The option grids is '{text}'; give a level from 0 to 9.")
        elif value is None or not 0 < value < float("inf"):
            kind = "number" if OPTIONS[key] is float else "whole number"
            raise DistillError(f"The option {key} is '{text}'; give a positive {kind}.")
    return options


def _wants_gpu(device: str) -> bool:
    installed = importlib.util.find_spec("gpu4pyscf") is not None
    if device == "gpu" and not installed:
        raise DistillError(
            "device=gpu needs gpu4pyscf; `pip install gpu4pyscf-cuda12x`, or leave the option out."
        )
    if device == "cpu" or not installed:
        return False
    import torch

    return device == "gpu" or torch.cuda.is_available()


def _version(dispersion: bool, gpu: bool) -> str:
    from pyscf.dft import libxc

    parts = [f"pyscf {version('pyscf')}", f"libxc {libxc.__version__}"]
    if dispersion:
        parts.append(f"pyscf-dispersion {version('pyscf-dispersion')}")
    if gpu:
        try:
            parts.append(f"gpu4pyscf {version('gpu4pyscf')}")
        except PackageNotFoundError:  # the package's name says for which CUDA it is
            import gpu4pyscf

            parts.append(f"gpu4pyscf {gpu4pyscf.__version__}")
    return ", ".join(parts)


def _on_cpu(array: Any) -> np.ndarray:
    return np.asarray(array.get() if hasattr(array, "get") else array, dtype=float)


@contextmanager
def _quiet(threads: int) -> Iterator[None]:
    """PySCF with so many threads, without its warnings, its large files in a place of our own."""
    from pyscf import lib, scf

    with (
        warnings.catch_warnings(),
        lib.with_omp_threads(threads),
        lib.temporary_env(lib.param, TMPDIR=str(_scratch())),
        lib.temporary_env(scf.hf, MUTE_CHKFILE=True),
    ):
        warnings.simplefilter("ignore")
        yield


@cache
def _scratch() -> Path:
    """This process's folder for temporary files; those of processes that were killed are removed.

    Integrals that do not fit into memory can be many gigabytes, and a labelling process that is
    told to stop ends at once, in the middle of them. Each process holds a lock on its folder.
    """
    from pyscf import lib

    parent = Path(lib.param.TMPDIR)
    for old in parent.glob(f"{SCRATCH}*"):
        _remove_left(old)
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        except OSError as error:
            raise DistillError(
                f"PySCF cannot write temporary files to {parent}: {error.strerror}; set TMPDIR to "
                "a folder with room."
            ) from error
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # else another process that just started took it for a left one
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return folder
        os.close(lock)


def _remove_left(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:  # gone already, or another user's
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # a living process holds it
        pass
    finally:
        os.close(lock)
