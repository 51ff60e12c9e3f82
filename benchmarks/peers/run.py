"""How fast is a student beside other potentials on this CPU? Leave the machine alone meanwhile.

    python benchmarks/peers/run.py -o peers.json --markdown docs/peers.md [--only mace tiny]

Energy and forces of loratadine (50 atoms, C22H23ClN2O2) in vacuum, float32 unless a row says
otherwise, on one and on two threads, each with the peer's own neighbour list and positions that
change by about 0.02 Å from call to call: as in MD, a list with a skin is kept, whatever is built
anew on every call is timed. Every peer runs in a process of its own, in a virtual environment
which this script makes with pip below ~/.cache/mlff-distiller/peers (MLFF_DISTILLER_PEERS names
another folder). Peers whose requirements agree share one. Our own rows run in the environment of
this script. A peer that cannot be installed or run gets a row with the reason.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import venv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
FOLDER = Path(
    os.environ.get("MLFF_DISTILLER_PEERS", Path.home() / ".cache" / "mlff-distiller" / "peers")
)
REFERENCE = "tiny-kernel"
TIMEOUT = 900  # s; torch.compile may take minutes
INSTALL_TIMEOUT = 1800

# one environment for all that runs on torch: their requirements agree
BASE = {
    "torch": ("torch==2.13.0", "ase==3.29.0", "numpy==2.4.6"),
    "classic": ("ase==3.29.0", "numpy==2.4.6"),
}
MACE = ("mace-torch==0.3.16", "e3nn==0.4.4")
REQUIREMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ani": ("torch", ("torchani==2.9.0",)),
    "mace": ("torch", MACE),
    "symmetrix": ("torch", (*MACE, "symmetrix-xl==0.1.1", "symmetrix-xl-cpu-avx512==0.1.1")),
    "painn": ("torch", ("graph-pes==1.0.2",)),
    "orb": ("torch", ("orb-models==0.5.5",)),
    "xtb": ("classic", ("tblite==0.8.0",)),
    "classical": ("classic", ("openmm==8.6.1", "rdkit==2026.9.1")),
}


class Row(NamedTuple):
    """One line of the table: the script ``peer_FAMILY.py`` with a variant."""

    name: str
    label: str
    family: str
    variant: str


def _rows() -> list[Row]:
    rows = []
    kinds = {"kernel": "kernel", "bare": "kernel, without ASE", "script": "TorchScript"}
    kinds["eager"] = "torch"
    for size in ("ultra-tiny", "tiny", "original"):
        for kind, words in kinds.items():
            rows.append(
                Row(f"{size}-{kind}", f"ours, {size}: {words}", "distill", f"{size}-{kind}")
            )
    for size in ("32x2", "64x2", "128x3"):
        rows.append(Row(f"painn-{size}", f"PaiNN {size}, graph-pes", "painn", size))
        label = f"PaiNN {size}, graph-pes, TorchScript"
        rows.append(Row(f"painn-{size}-script", label, "painn", f"{size}-script"))
    return rows + [
        Row("ani-one", "ANI-2x, one network, TorchScript", "ani", "one"),
        Row("ani-eager", "ANI-2x, torchani", "ani", "eager"),
        Row("ani-script", "ANI-2x, torchani, TorchScript", "ani", "script"),
        Row("mace-eager", "MACE-OFF-small's size, mace-torch", "mace", "eager"),
        Row("mace-script", "MACE-OFF-small's size, TorchScript", "mace", "script"),
        Row("mace-compile", "MACE-OFF-small's size, torch.compile", "mace", "compile"),
        Row("symmetrix-avx2", "MACE-OFF-small's size, Symmetrix-XL", "symmetrix", "avx2"),
        Row("symmetrix-avx512", "the same, AVX-512", "symmetrix", "avx512"),
        Row("orb-eager", "Orb-v2", "orb", "eager"),
        Row("orb-compile", "Orb-v2, torch.compile", "orb", "compile"),
        Row("xtb", "GFN2-xTB, tblite", "xtb", "gfn2"),
        Row("classical-mmff", "MMFF94, RDKit", "classical", "mmff"),
        Row("classical-reference", "classical, OpenMM Reference", "classical", "reference"),
        Row("classical-cpu", "classical, OpenMM CPU", "classical", "cpu"),
        Row("classical-reference-step", "classical, Reference, MD step", "classical",
            "reference-step"),
        Row("classical-cpu-step", "classical, CPU, MD step", "classical", "cpu-step"),
    ]  # fmt: skip


ROWS = _rows()


def python_of(family: str) -> Path:
    """The interpreter of a family's environment, made and filled when it is not there yet.

    Raises RuntimeError with the reason when pip fails.
    """
    if family == "distill":
        return Path(sys.executable)
    name, packages = REQUIREMENTS[family]
    wanted = (*BASE[name], *packages)
    folder = FOLDER / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = folder / f"{family}-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    if stamp.exists():
        return python
    if not python.exists():
        venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pip took longer than {INSTALL_TIMEOUT} s.") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (errors or ["ERROR: no message"])[-1].removeprefix("ERROR: ")
        raise RuntimeError(f"pip cannot install {' '.join(wanted)} ({reason}).")
    stamp.touch()
    return python


def measure(row: Row, threads: int, repeats: int, seconds: float) -> dict[str, Any]:
    """What the peer's script prints, or ``error``."""
    script = HERE / f"peer_{row.family}.py"
    command = [
        str(python_of(row.family)), str(script), row.variant, "--threads", str(threads),
        "--repeats", str(repeats), "--seconds", str(seconds),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=HERE)
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {TIMEOUT} s."}
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"error": f"the script did not end well ({words[-1][:200]})."}


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
    cpu = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    flags: list[str] = []
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                cpu = value.strip()
            if key.strip() == "flags":
                flags = [f for f in ("avx2", "fma", "avx512f") if f in value.split()]
    return {
        "cpu": cpu,
        "flags": flags,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def chosen(names: list[str] | None) -> list[Row]:
    """Rows whose family or beginning of the name is listed (all when None), and the reference."""
    if names is None:
        return ROWS
    found = [
        r
        for r in ROWS
        if r.name == REFERENCE or any(r.family == n or r.name.startswith(n) for n in names)
    ]
    for name in names:
        if not any(r.family == name or r.name.startswith(name) for r in ROWS):
            known = ", ".join(sorted({r.family for r in ROWS}))
            sys.exit(f"There is no peer '{name}'; there are the groups {known}, and the names of "
                     "the rows.")  # fmt: skip
    return found


def ratio(result: dict[str, Any], row: str, threads: int) -> float | None:
    """How many times as long as our ``tiny`` kernel the median takes, on as many threads."""
    own = result["rows"].get(row, {}).get(str(threads), {})
    base = result["rows"].get(REFERENCE, {}).get(str(threads), {})
    if "median_ms" not in own or "median_ms" not in base:
        return None
    return float(own["median_ms"] / base["median_ms"])


HEADER = ("potential", "threads", "median ms", "min", "max", f"x {REFERENCE}", "ns/day at 1 fs")


def cells(result: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    """The table's lines as strings."""
    labels = {row.name: row.label for row in ROWS}
    for name, by_threads in result["rows"].items():
        for threads, found in by_threads.items():
            if "error" in found:
                yield labels[name], threads, found["error"], "", "", "", ""
                continue
            times = ratio(result, name, int(threads))
            yield (
                labels[name],
                threads,
                *(f"{found[key]:.3g}" for key in ("median_ms", "min_ms", "max_ms")),
                "" if times is None else f"{times:.3g}",
                f"{86.4 / found['median_ms']:.3g}",
            )


def markdown(result: dict[str, Any]) -> str:
    """The page of the documentation."""
    about = result["machine"]
    lines = [
        "# Beside other potentials",
        "",
        "Written by `benchmarks/peers/run.py`.",
        "",
        "Energy and forces of loratadine (50 atoms) in vacuum, neighbour list included, positions "
        "changed on every call; float32 unless noted. Milliseconds of single calls. Random weights "
        "have no influence on the time. Accuracy is another matter: these potentials differ in "
        "what they know and in how exact they are.",
        "",
        f"{about['cpu']} ({', '.join(about['flags']) or 'flags unknown'}), {about['cores']} cores, "
        f"{about['system']}, Python {about['python']}, {result['date'][:10]}.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "|".join(["---"] + ["--:"] * (len(HEADER) - 1)) + "|",
    ]
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |"
              for line in cells(result)]  # fmt: skip
    lines += ["", "| potential | model | weights | parameters | through | notes | versions |",
              "|---|---|---|--:|---|---|---|"]  # fmt: skip
    labels = {row.name: row.label for row in ROWS}
    for name, by_threads in result["rows"].items():
        found = next((f for f in by_threads.values() if "error" not in f), None)
        if found is None:
            continue
        versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
        parameters = f"{found['parameters']:,}" if found["parameters"] else ""
        lines.append(
            f"| {labels[name]} | {found['model']} | {found['weights']} | {parameters} "
            f"| {found['through']} | {found['note']} | {versions} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, help="write all that was measured as JSON")
    parser.add_argument("--markdown", type=Path, help="write the tables as Markdown")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="groups, or how rows begin")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=15.0, help="per row and number of threads")
    parser.add_argument("--install", action="store_true", help="only make the environments")
    arguments = parser.parse_args()

    rows = chosen(arguments.only)
    console = Console() if sys.stdout.isatty() else Console(width=130)
    broken: dict[str, str] = {}
    for family in dict.fromkeys(row.family for row in rows):
        with console.status(f"environment of {family}"):
            try:
                python_of(family)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                broken[family] = str(error)
                console.print(f"{family}: {error}", markup=False)
    if arguments.install:
        return

    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "molecule": "loratadine, 50 atoms",
        "rows": {},
    }
    for row in rows:
        by_threads = result["rows"].setdefault(row.name, {})
        for threads in arguments.threads:
            if row.family in broken:
                by_threads[str(threads)] = {"error": broken[row.family]}
                continue
            with console.status(f"{row.label}, threads: {threads}"):
                found = measure(row, threads, arguments.repeats, arguments.seconds)
            by_threads[str(threads)] = found
            median = f"{found['median_ms']:.3g} ms" if "median_ms" in found else found["error"]
            console.print(f"{row.label}, threads {threads}: {median}", markup=False)
            if arguments.out:  # a long run that is broken off leaves what it has
                arguments.out.write_text(json.dumps(result, indent=2) + "\n")

    table = Table(title=f"{result['machine']['cpu']}, {result['date']}")
    for k, title in enumerate(HEADER):
        table.add_column(title, justify="right" if k else "left")
    for line in cells(result):
        table.add_row(*line)
    console.print(table)
    console.print(result["machine"])
    packages: dict[str, str] = {}
    for by_threads in result["rows"].values():
        for found in by_threads.values():
            packages |= found.get("versions", {})
    console.print(packages)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(result))


if __name__ == "__main__":
    main()
