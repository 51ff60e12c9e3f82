"""A script that judges students on the first test drugs, molecule by molecule."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pool import in_processes

from distill.data.molecules import read_molecules
from distill.evaluate.report import provenance
from distill.student import SIZES


def arguments_of(doc: str | None, molecules: int) -> argparse.ArgumentParser:
    """The options that such scripts have; molecules: how many are judged by default."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--students", nargs="+", default=[*SIZES], help="names or files")
    parser.add_argument("--teacher", default="gfn2-xtb")
    parser.add_argument("--molecules", type=int, default=molecules)
    parser.add_argument("--workers", type=int, help="default: one a core")
    return parser


def on_drugs(
    arguments: argparse.Namespace,
    most_atoms: int,
    judge: Callable[..., dict[str, Any]],
    summary: Callable[[list[dict], list[str]], dict[str, dict[str, float]]],
    **settings: Any,
) -> None:
    """Judges each drug in a process of its own; students that are in the file already are left out.

    judge(molecule, students, teacher's name, what is in the file of the molecule, *settings);
    summary(molecules' results, students).
    """
    drugs = [m for m in read_molecules("drugs:test") if 10 < len(m) <= most_atoms]
    result: dict[str, Any] = {"molecules": {}}
    if arguments.out.exists():
        result = json.loads(arguments.out.read_text())
    known = {m.name: result["molecules"].get(m.name, {}) for m in drugs}
    missing = {n: [s for s in arguments.students if s not in known[n]] for n in known}
    tasks = {
        m.name: (m, missing[m.name], arguments.teacher, known[m.name], *settings.values())
        for m in drugs[: arguments.molecules]
        if missing[m.name]
    }

    def save() -> None:
        judged = [m for m in result["molecules"].values() if m.keys() >= {*arguments.students}]
        result["summary"] = summary(judged, arguments.students)
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")

    for name, found in in_processes(judge, tasks, arguments.workers):
        result["molecules"][name] = known[name] | found
        result |= {"teacher": arguments.teacher, **settings, **provenance()}
        save()
        print(name, json.dumps({s: found[s] for s in missing[name]}), flush=True)
    save()  # other students than last time need another summary
    print(json.dumps(result["summary"], indent=2))


def means(molecules: list[dict], who: str, keys: tuple[str, ...]) -> dict[str, float]:
    """Over the molecules that have the key."""
    rows = [m[who] for m in molecules]
    return {key: float(np.mean([row[key] for row in rows if key in row])) for key in keys}
