"""A LAMMPS that takes students: found, or built from source into the user's cache."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from distill.cache import Say, cache_folder, locked
from distill.errors import DistillError
from distill_lammps.source import unpack, version

PACKAGES = ("ML-IAP", "ML-SNAP", "PYTHON", "MOLECULE", "KSPACE", "RIGID", "PLUGIN")
RECIPE = 1
"""Goes up when the same source would be built in another way."""
STAMP = "distill-lammps.json"


class Mpi(NamedTuple):
    """Its compiler and launcher, and the folder of its library ("": where all libraries are)."""

    mpicxx: str
    mpiexec: str
    library: str


@dataclass(frozen=True)
class Tools:
    """What LAMMPS is built with: programs' paths, and Python's library folder."""

    cmake: str
    ninja: str
    cythonize: str
    mpi: Mpi
    python_library: str


def search_path() -> str:
    """The folder of this Python's programs, then the PATH."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH') or os.defpath}"


def with_programs() -> dict[str, str]:
    """This process' environment with `search_path`, for compilers, which call others."""
    return {**os.environ, "PATH": search_path()}


def find_mpi() -> Mpi | None:
    """The one beside this Python (PyPI's mpich), or on the PATH."""
    mpicxx, mpiexec = (shutil.which(name, path=search_path()) for name in ("mpicxx", "mpiexec"))
    if mpicxx is None or mpiexec is None:
        return None
    # MPICH says how it would link with -show, Open MPI too
    shown = subprocess.run(
        [mpicxx, "-show"], capture_output=True, text=True, env=with_programs()
    ).stdout.split()
    folders = [word[2:] for word in shown if word.startswith("-L")]
    return Mpi(mpicxx, mpiexec, next((f for f in folders if list(Path(f).glob("libmpi*"))), ""))


def find_tools() -> Tools:
    """Those beside this Python, or on the PATH; DistillError names what is missing."""
    path = search_path()
    found = {name: shutil.which(name, path=path) for name in ("cmake", "ninja", "cythonize")}
    mpi = find_mpi()
    missing = [name for name, program in found.items() if program is None]
    if mpi is None:
        missing.append("MPI (mpicxx, mpiexec)")
    if missing:
        raise DistillError(
            f"LAMMPS cannot be built without {', '.join(missing)}: install them with "
            "pip install 'mlff-distiller[lammps]', or from your system (on Debian: cmake, "
            "ninja-build, cython3, libmpich-dev)."
        )
    compiler = os.environ.get("CXX") or shutil.which("c++", path=path) or shutil.which("g++")
    if compiler is None:
        raise DistillError(
            "LAMMPS cannot be built without a C++ compiler: install one (on Debian: g++)."
        )
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        raise DistillError(
            f"{sys.executable} has no shared library, which LAMMPS must link: use a Python built "
            "with --enable-shared (the system's has one; on Debian: libpython3-dev)."
        )
    assert mpi is not None
    programs = {name: str(program) for name, program in found.items()}
    return Tools(**programs, mpi=mpi, python_library=str(sysconfig.get_config_var("LIBDIR")))


def prefix(cache: Path | None = None) -> Path:
    """Of the LAMMPS for this Python, there or not."""
    key = hashlib.sha256(f"{RECIPE} {PACKAGES} {sysconfig.get_config_var('SOABI')}".encode())
    folder = cache_folder() if cache is None else cache
    return folder / f"lammps-py{sysconfig.get_python_version()}-{key.hexdigest()[:8]}"


def built(cache: Path | None = None) -> Path | None:
    """The LAMMPS in the cache, if it is whole."""
    place = prefix(cache)
    return place if (place / STAMP).is_file() else None


def build(source: Path | None = None, force: bool = False, say: Say = print) -> Path:
    """The prefix of a LAMMPS for this Python, built unless it is there. Takes minutes.

    source: LAMMPS' source tree or archive; None: Debian's. Raises DistillError where something is
    missing, or the build fails; what was there before stays.
    """
    place = prefix()
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(
        place.with_suffix(".lock"), say, "Another process is building LAMMPS; waiting for it"
    ):
        if built() and not force:
            return place
        tools = find_tools()
        with tempfile.TemporaryDirectory(prefix="lammps-", dir=place.parent) as name:
            folder = Path(name)
            say("Getting LAMMPS' source")
            tree = unpack(source, folder)
            patch(tree)
            say(f"Building LAMMPS {version(tree)}: about four minutes on two cores")
            done = compile_tree(tree, folder, tools)
            (done / STAMP).write_text(
                json.dumps({"version": version(tree), "recipe": RECIPE, **asdict(tools)}, indent=1)
            )
            if place.exists():
                shutil.rmtree(place)
            done.rename(place)
    return place


def patch(tree: Path) -> None:
    """Takes out an array of atoms x pairs that only ACE reads: 65 GB for 5,000 atoms."""
    file = tree / "src" / "ML-IAP" / "mliap_data.cpp"
    lines = []
    for line in file.read_text().splitlines(keepends=True):
        if "lmp_firstneigh" in line and ("memory->grow" in line or "[ii][ninside]" in line):
            line = f"#ifdef MLIAP_ACE\n{line}#endif\n"
        elif "// lmp_firstneigh" in line and "nneigh_max" in line:
            continue  # of memory_usage()
        lines.append(line)
    file.write_text("".join(lines))


def compile_tree(tree: Path, folder: Path, tools: Tools) -> Path:
    """Configures, compiles and installs; returns the installation."""
    out, objects = folder / "install", folder / "objects"
    rpath = ";".join(filter(None, ["$ORIGIN/../lib", tools.python_library, tools.mpi.library]))
    settings = {
        "BUILD_SHARED_LIBS": "on", "BUILD_MPI": "on", "BUILD_OMP": "off", "BUILD_TOOLS": "off",
        "MLIAP_ENABLE_PYTHON": "on", "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_FLAGS_RELEASE": "-O2", "CMAKE_INSTALL_PREFIX": str(out),
        "CMAKE_INSTALL_LIBDIR": "lib", "CMAKE_INSTALL_RPATH": rpath,
        "CMAKE_MAKE_PROGRAM": tools.ninja, "MPI_CXX_COMPILER": tools.mpi.mpicxx,
        "Python_EXECUTABLE": sys.executable, "Cythonize_EXECUTABLE": tools.cythonize,
    } | {f"PKG_{name}": "on" for name in PACKAGES}  # fmt: skip
    log = folder.parent / "lammps-build.log"
    configure = [
        tools.cmake, "-G", "Ninja", "-S", str(tree / "cmake"), "-B", str(objects),
        *(f"-D{key}={value}" for key, value in settings.items()),
    ]  # fmt: skip
    with open(log, "w") as file:
        for command in (configure, [tools.ninja, "-C", str(objects), "install"]):
            done = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, env=with_programs()
            )
            if done.returncode:
                raise DistillError(f"LAMMPS did not build; {log} says why (the end of it).")
    log.unlink()
    shutil.copytree(tree / "python" / "lammps", out / "python" / "lammps")
    # where LAMMPS' Python module looks first
    (out / "python" / "lammps" / "liblammps.so").symlink_to("../../lib/liblammps.so")
    shutil.rmtree(out / "share" / "lammps" / "potentials", ignore_errors=True)
    shutil.rmtree(out / "share" / "lammps" / "bench", ignore_errors=True)
    return out
