"""LAMMPS inside this Python process."""

import ctypes
import sys
import sysconfig
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.errors import DistillError
from distill.student.file import student_path
from distill_lammps.build import built, find_mpi
from distill_lammps.mliap import StudentMLIAP


def start(
    student: str | Path | None = None,
    dtype: str = "float32",
    cmdargs: Sequence[str] = (),
    comm: Any = None,
) -> Any:
    """A ``lammps.lammps`` that takes students, with ML-IAP's Python coupling activated.

    student: a shipped name or a student file, for ``pair_style mliap unified EXISTS 1`` without any
    file; else the pair style's file is the one of ``distill export``. cmdargs and comm are those of
    ``lammps.lammps``. LAMMPS is the one that ``python -m distill_lammps build`` has made, else the
    one that ``import lammps`` finds. Raises DistillError where there is none, or one without the
    coupling.
    """
    place = built()
    if place is not None and "lammps" not in sys.modules:
        sys.path.insert(0, str(place / "python"))
        mpi = find_mpi()
        for file in sorted(Path(mpi.library).glob("libmpi.so.*")) if mpi and mpi.library else []:
            ctypes.CDLL(str(file), ctypes.RTLD_GLOBAL)
            break
    try:
        import lammps
    except ImportError as error:
        raise DistillError(
            "There is no LAMMPS for this Python; build it: python -m distill_lammps build."
        ) from error
    instance = lammps.lammps(cmdargs=list(cmdargs), comm=comm)
    if not hasattr(instance.lib, "PyInit_mliap_unified_couple"):
        instance.close()
        raise DistillError(
            f"{instance.lib._name} was built without MLIAP_ENABLE_PYTHON; build another: "
            "python -m distill_lammps build --force."
        )
    _coupling(lammps).activate_mliappy(instance)
    if student is not None:
        model = StudentMLIAP(student_path(student).read_bytes(), dtype)
        _coupling(lammps).load_unified(model)
    return instance


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
