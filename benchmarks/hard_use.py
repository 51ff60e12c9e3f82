"""The programs, used hard: killed, stopped, starved of disk, given damaged files, run for long.

    python benchmarks/hard_use.py -o docs/hard_use.md             # all of it: some hours
    python benchmarks/hard_use.py -o docs/hard_use.md --only kill-label --only stop-label
    python benchmarks/hard_use.py -o build/quick.md --quick       # few trials: minutes

Each item is judged against something that knows nothing of it: labels of an undisturbed run, the
memory that the system reports, exit codes. Its result is saved when it is done, beside the table as
JSON, and what has a result for this commit is left out when the same command is given again
(--again does it anew). Read-only and full disks are mounted, which takes root.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hard import clock, crowd, damage, disk, kill, long_md, together
from hard.item import ITEMS, Item, Place, Trial

from distill.evaluate.report import provenance
from distill.run import write_json

ROOT = Path(__file__).parents[1]
MODULES = (kill, long_md, together, disk, damage, crowd, clock)  # importing them fills ITEMS
SEED = 24


def commit() -> str:
    """The last one that changed the sources, with a plus where they have been changed since."""
    sources = ["--", "distill", "plugins", "benchmarks"]
    try:
        last = git("log", "-1", "--format=%h", *sources)
        return last + ("+" if git("status", "--porcelain", *sources) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def git(*words: str) -> str:
    """What git says."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def tried(item: Item, folder: Path, quick: bool) -> dict[str, Any]:
    """All trials of an item; a fault of the trials themselves is one of the problems."""
    rng = np.random.default_rng([SEED, zlib.crc32(item.name.encode())])
    place = Place(folder / item.name, item.times[quick], rng, quick)
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    started = time.monotonic()
    trials: list[Trial] = []
    try:
        for trial in item.function(place):
            trials.append(trial)
            print(f"  {item.name} {len(trials)}: {trial.problem or trial.note}", flush=True)
    except Exception as error:
        trials.append(Trial(f"not tried: {type(error).__name__}: {error}"))
        print(f"  {item.name}: {trials[-1].problem}", flush=True)
    return {
        "trials": len(trials),
        "right": sum(not trial.problem for trial in trials),
        "notes": dict(Counter(trial.note for trial in trials if not trial.problem)),
        "problems": [trial.problem.replace(f"{folder}/", "") for trial in trials if trial.problem],
        "seconds": round(time.monotonic() - started),
        "commit": commit(),
        "quick": quick,
        **{key: provenance()[key] for key in ("date", "versions", "machine")},
    }


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """The table, and what it is of."""
    lines = [
        "# Used hard",
        "",
        "What happens when the programs are killed, stopped, starved of disk, given damaged files"
        " or run for long; `make hard-use` (`benchmarks/hard_use.py`) makes this table. Moments and"
        f" mutations are random, of seed {SEED}.",
        "",
        "| item | what is done | what should happen | trials | right | what happened | minutes |",
        "|---|---|---|---:|---:|---|---:|",
    ]
    for name, item in ITEMS.items():
        if name in results:
            found = results[name]
            cells = [f"`{name}`", item.what, item.right, found["trials"], found["right"],
                     happened(found), f"{found['seconds'] / 60:.1f}"]  # fmt: skip
            lines.append("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |")
    return "\n".join([*lines, "", *(f"- {line}" for line in machines(results))]) + "\n"


def happened(found: dict[str, Any]) -> str:
    """Notes with their numbers, then the problems, the first of each kind."""
    said = [f"{note}: {count}" for note, count in found["notes"].items()]
    problems = found["problems"]
    said += [f"**{problem}**" for problem in problems[:3]]
    said += [f"and {len(problems) - 3} more problems"] if len(problems) > 3 else []
    return "; ".join(said)


def machines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Where, when and with what; one line for all items that have it in common."""
    groups: dict[str, list[str]] = {}
    for name, found in results.items():
        machine, versions = found["machine"], found["versions"]
        known = ", ".join(f"{key} {value}" for key, value in versions.items() if value)
        line = f"commit {found['commit']}, {found['date'][:10]}; {machine['cpu']}, "
        line += f"{machine['cores']} cores, {machine['system']}; {known}"
        line += "; few trials (--quick)" if found["quick"] else ""
        groups.setdefault(line, []).append(f"`{name}`")
    if len(groups) == 1:
        return [f"All: {line}." for line in groups]
    return [f"{', '.join(names)}: {line}." for line, names in groups.items()]


@contextmanager
def work_folder(given: Path | None) -> Iterator[Path]:
    """The one given, which stays; else one that goes."""
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="hard-use-") as folder:
        yield Path(folder)


def main() -> None:
    """Command line; the exit code is 1 where an item had a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help=".md; a .json beside it")
    parser.add_argument("--only", action="append", choices=ITEMS, default=[], metavar="ITEM")
    parser.add_argument("--quick", action="store_true", help="few trials")
    parser.add_argument("--again", action="store_true", help="also what has a result")
    parser.add_argument("--work", type=Path, help="a folder for what the trials write; it is kept")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it has started ends, too
    file = arguments.out.with_suffix(".json")
    results = json.loads(file.read_text()) if file.is_file() else {}
    with work_folder(arguments.work) as folder:
        for name in arguments.only or ITEMS:
            before = results.get(name, {})
            same = (before.get("commit"), before.get("quick")) == (commit(), arguments.quick)
            if same and "+" not in commit() and not arguments.again:
                continue
            print(f"{name}: {ITEMS[name].what}", flush=True)
            results[name] = tried(ITEMS[name], folder, arguments.quick)
            write_json(file, results)
            arguments.out.write_text(markdown(results))
    wrong = [name for name in arguments.only or ITEMS if results[name]["problems"]]
    print(f"Problems: {', '.join(wrong) or 'none'}. The table is in {arguments.out}.")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
