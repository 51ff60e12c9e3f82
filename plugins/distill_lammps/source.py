"""LAMMPS' source: a folder or archive of the user's, or Debian's source package."""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from distill.errors import DistillError

SUITE = "trixie"
"""Of Debian; its package holds LAMMPS 4 Feb 2025."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
OWN = (
    "download LAMMPS' source (a release of 2 August 2023 or later) and give its folder or archive: "
    "python -m distill_lammps build --source PATH"
)


def unpack(source: Path | None, folder: Path) -> Path:
    """LAMMPS' source tree as a new folder in ``folder``, from a folder, an archive or Debian.

    Raises DistillError where there is none to be had.
    """
    if source is None:
        source = debian_archive(folder)
    if source.is_dir():
        tree = folder / "source"
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns(".git", "build*"))
    elif source.is_file():
        try:
            with tarfile.open(source) as archive:
                archive.extractall(folder / "unpacked", filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DistillError(f"{source} is not a whole archive ({error}); {OWN}.") from error
        found = sorted((folder / "unpacked").glob("*/cmake/CMakeLists.txt"))
        tree = found[0].parent.parent if found else folder / "unpacked"
    else:
        raise DistillError(f"There is no {source}; {OWN}.")
    if not (tree / "src" / "ML-IAP" / "mliap_unified.cpp").is_file():
        raise DistillError(
            f"{source} is not a LAMMPS source tree with ML-IAP's unified models; {OWN}."
        )
    return tree


def version(tree: Path) -> str:
    """As LAMMPS says it, without spaces: 4Feb2025."""
    found = re.search(r'"([^"]+)"', (tree / "src" / "version.h").read_text())
    return found[1].replace(" ", "") if found else "unknown"


def debian_archive(folder: Path) -> Path:
    """Debian's archive of LAMMPS' source, downloaded by apt into ``folder``, without root."""
    mirror = debian_mirror()
    if shutil.which("apt-get") is None or mirror is None:
        raise DistillError(
            f"LAMMPS' source comes from Debian's packages, and this is no Debian; {OWN}."
        )
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial", "source"):
        (apt / name).mkdir(parents=True)
    for path in (folder, apt, *apt.rglob("*")):
        path.chmod(0o777)  # as root, apt downloads as another user
    key = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
    (apt / "sources.list").write_text(f"deb-src {key}{mirror} {SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists", "Dir::Cache": apt / "cache",
    }  # fmt: skip
    command = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    for arguments in (["update"], ["source", "--download-only", "--tar-only", "lammps"]):
        done = subprocess.run(
            [*command, *arguments], cwd=apt / "source", capture_output=True, text=True
        )
        if done.returncode:
            raise DistillError(
                f"apt-get {arguments[0]} failed: {_last_line(done.stderr)}; try again, or {OWN}."
            )
    archives = list((apt / "source").glob("*.orig.tar.*"))
    if not archives:
        raise DistillError(f"apt-get source brought no archive of LAMMPS; {OWN}.")
    return archives[0]


def debian_mirror() -> str | None:
    """The mirror of Debian that this machine's apt uses, from its own configuration."""
    etc = Path(os.environ.get("DISTILL_APT", "/etc/apt"))
    for file in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            # one line of sources.list, or a field of a .sources file
            found = re.match(r"\s*(?:deb(?:-src)?\s+(?:\[[^]]*\]\s+)?|URIs:\s*)(\S+)", line)
            if found and found[1].rstrip("/").endswith("/debian"):
                return found[1]
    return None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
