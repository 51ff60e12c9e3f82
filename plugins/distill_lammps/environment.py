"""What a shell needs for ``lmp`` to run students."""

import os
import sys
import sysconfig
from pathlib import Path

import distill
from distill_lammps.build import find_mpi
from distill_lammps.plugin import folder_or_sentence


def environment(place: Path | None) -> dict[str, list[str]]:
    """Folders to put before those of PATH, LD_LIBRARY_PATH, PYTHONPATH and LAMMPS_PLUGIN_PATH.

    place: a LAMMPS that `build` has made; None: LAMMPS is on the paths already.
    """
    packages = [Path(distill.__file__).parent.parent, Path(__file__).parent.parent]
    site = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
    python = [*site, *packages]
    programs = [Path(sys.executable).parent]  # `distill`, and PyPI's mpiexec
    libraries: list[Path] = []
    plugins: list[Path] = []
    if place is not None:
        python.insert(0, place / "python")
        mpi = find_mpi()
        programs = [place / "bin", *programs, *([Path(mpi.mpiexec).parent] if mpi else [])]
        libraries = [place / "lib", Path(str(sysconfig.get_config_var("LIBDIR")))]
        libraries += [Path(mpi.library)] if mpi and mpi.library else []
        plugins = [Path(p) for p in [folder_or_sentence(place)] if p]
    return {
        "PATH": _strings(programs),
        "LAMMPS_PLUGIN_PATH": _strings(plugins),
        "LD_LIBRARY_PATH": _strings(libraries),
        "PYTHONPATH": _strings(python),
    }


def _strings(folders: list[Path]) -> list[str]:
    return list(dict.fromkeys(str(folder) for folder in folders))


def for_subprocess(place: Path | None) -> dict[str, str]:
    """This process' environment with `environment` before it."""
    result = dict(os.environ)
    for name, folders in environment(place).items():
        if folders:
            result[name] = os.pathsep.join([*folders, *filter(None, [os.environ.get(name)])])
    return result


def for_shell(place: Path | None) -> str:
    """Lines for ``eval``."""
    lines = []
    for name, folders in environment(place).items():
        if folders:
            joined = os.pathsep.join(folders).replace('"', '\\"')
            lines.append(f'export {name}="{joined}${{{name}:+:${name}}}"')
    return "\n".join(lines)
