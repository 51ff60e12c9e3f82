"""How far can energies be trusted? A student's and its teacher's, beside better ones.

    python benchmarks/energies.py tiny                                # S22x5, and physics
    python benchmarks/energies.py tiny --truth FILE.json.gz -o energies.md --json energies.json
    python benchmarks/energies.py student.safetensors gfn1-xtb tblite.ase:TBLite --only energies

Who is judged: shipped students, student files, teachers, and ASE calculators as
package.module:Class. The reference is coupled cluster (S22x5, which ASE has) and whatever stands in
the file of --truth; docs/energies.md tells of its format and of all that is measured. With --json
energies are saved every 20 s, and the same call goes on from there.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from yardstick import apart, diatomics, vibrations
from yardstick.s22x5 import s22x5
from yardstick.score import score
from yardstick.truth import Truth, read_truth
from yardstick.who import Judged, calculator_of

from distill.errors import DistillError
from distill.evaluate.report import provenance
from distill.whole import whole_file, write_json

PARTS: dict[str, Callable[[Any], Any]] = {
    "diatomics": diatomics.diatomics,
    "apart": apart.apart,
    "vibrations": vibrations.vibrations,
}
"""Physics: each is asked of a calculator."""


def everything(path: Path | None) -> Truth:
    """S22x5 as ASE has it, and what is in the user's file."""
    truth, dimers = read_truth(path) if path else Truth(), s22x5()
    of_file = {name: r for name, r in truth.reactions.items() if name.lower() != "s22x5"}
    truth.reactions = dimers.reactions | of_file
    truth.structures |= dimers.structures
    used = {key for reactions in truth.reactions.values() for r in reactions for key in r.systems}
    molecules = [points for kind in truth.conformers.values() for points in kind.values()]
    used |= {key for points in [*molecules, *truth.torsions.values()] for key, _ in points}
    truth.structures = {key: atoms for key, atoms in truth.structures.items() if key in used}
    return truth


def energies_of(truth: Truth, judged: Judged) -> dict[str, float]:
    """kcal/mol; GFN2-xTB's are taken from the file where it has them."""
    given = truth.gfn2 if judged.name == "gfn2-xtb" else {}
    missing = {key: atoms for key, atoms in truth.structures.items() if key not in given}
    return {key: given[key] for key in truth.structures if key in given} | judged.energies(missing)


def markdown(result: dict[str, Any]) -> str:
    """All tables, and what they are of."""
    teacher = result["teacher"]
    versions = ", ".join(
        f"{name} {result['versions'][name]}" for name in ("torch", "ase", "distill")
    )
    lines = [
        "# Energies of students, of their teacher, and better ones",
        "",
        f"`python benchmarks/energies.py`, {result['date']}, {result['machine']['cpu']}, "
        f"Python {result['versions']['python']}, {versions}; the teacher is {teacher}. Energies in "
        "kcal/mol. Mean absolute errors; R2 is the median over molecules. Error to the teacher is "
        "not error to the reference, nor is the reference nature.",
    ]
    for name, found in result["judged"].items():
        lines += ["", f"## `{name}`"]
        if "energies" in found:
            lines += ["", *of_sets(found["energies"]["sets"])]
            if found["energies"]["failed"]:
                failed = list(found["energies"]["failed"].items())
                lines += ["", f"Without an energy: {len(failed)} structures, such as "
                          f"{failed[0][0]} ({failed[0][1]})."]  # fmt: skip
        for part, table in (
            ("diatomics", of_diatomics), ("apart", of_apart), ("vibrations", of_vibrations)
        ):  # fmt: skip
            if part in found:
                lines += ["", *table(found[part], result["physics of the teacher"][part])]
    return "\n".join(lines) + "\n"


def of_sets(sets: dict[str, dict[str, Any]]) -> list[str]:
    """A row a set."""
    head = [
        "set", "n", "student to reference", "teacher to reference", "student to teacher", "median",
        "worst", "R2 student to reference", "R2 teacher to reference", "R2 student to teacher",
    ]  # fmt: skip
    rows = []
    for name, row in sets.items():
        n = f"{row['n']}" + (f" of {row['n'] + row['left_out']}" if row["left_out"] else "")
        errors = ("mae_student", "mae_teacher", "student_to_teacher", "median")
        squares = ("r2_student", "r2_teacher", "r2_student_teacher")
        rows.append([
            name, n, *(number(row.get(key), 2) for key in errors), number(row.get("worst"), 1),
            *(number(row.get(key), 3) for key in squares),
        ])  # fmt: skip
    return table_of(head, rows)


def of_diatomics(student: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    """A row a molecule."""
    head = ["diatomic", "measured length (Å)"]
    for key in ("minimum (Å)", "depth", "hole in the wall", "dip outside", "points not done"):
        head += [f"{key}: student", "teacher"]
    rows = []
    for name, length in diatomics.LENGTHS.items():
        row = [name, number(length, 3)]
        for key, digits in {"minimum": 3, "depth": 1, "hole": 1, "dip": 1, "failed": 0}.items():
            row += [number(found[name][key], digits) for found in (student, teacher)]
        rows.append(row)
    return table_of(head, rows)


def of_apart(student: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    """A row a check."""
    rows = [
        ["two molecules 100 Å apart, energy less the sum of theirs (eV)",
         *(scientific(found["extensivity"]) for found in (student, teacher))],
        ["an atom moved 30 Å away, change of the forces here (eV/Å)",
         *(scientific(found["locality"]) for found in (student, teacher))],
    ]  # fmt: skip
    for move in apart.MOVES:
        values = [(found["stiffness"] or {}).get(f"{move:g}") for found in (student, teacher)]
        what = f"methane's carbon moved by {move:g} Å: force constant (eV/Å^2)"
        rows.append([what, *("failed" if v is None else number(v, 1) for v in values)])
    for name in apart.pulled():
        for key, what in {
            "close": f"change of a force within {apart.CLOSE:g} Å (eV/Å)",
            "closest": f"change of a force within {apart.CLOSEST:g} Å (eV/Å)",
            "failed": "geometries that failed",
        }.items():
            values = [(found[name] or {}).get(key) for found in (student, teacher)]
            text = [number(v, 0) if key == "failed" else scientific(v) for v in values]
            rows.append([f"{name} pulled to {apart.DISTANCES[-1]:.0f} Å: {what}", *text])
    return table_of(["physics", "student", "teacher"], rows)


def of_vibrations(student: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    """A row a molecule, and their mean."""
    compared = vibrations.compare(student, teacher)
    head = ["frequencies (cm-1), student to teacher", "MAE", "worst", "imaginary"]
    rows = []
    for name in student:
        row = compared.get(name, {})
        numbers = [number(row.get(key), 0) for key in ("mae", "worst", "imaginary")]
        rows.append([name, *(numbers if row else ["no minimum", "", ""])])
    if compared:
        mean = float(np.mean([row["mae"] for row in compared.values()]))
        rows.append([f"mean of {len(compared)}", number(mean, 1), "", ""])
    return table_of(head, rows)


def number(value: float | None, digits: int) -> str:
    """Nothing for None; never "-0.0"."""
    return "" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def scientific(value: float | None) -> str:
    """Two digits."""
    return "failed" if value is None else f"{value:.1e}"


def table_of(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table that is also to be read as it is."""
    wide = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    rule = ["-" * wide[0], *("-" * (w - 1) + ":" for w in wide[1:])]
    padded = [[row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))]
              for row in (head, rule, *rows)]  # fmt: skip
    return ["| " + " | ".join(row) + " |" for row in padded]


def judge(arguments: argparse.Namespace) -> dict[str, Any]:
    """The result, which is saved after each part.

    Raises DistillError for a name of nothing and a truth file that cannot be used, before anything
    is measured.
    """
    truth = everything(arguments.truth) if "energies" in arguments.only else Truth()
    kept: dict[str, dict[str, float]] = {}
    if arguments.json and arguments.json.exists():
        kept = _kept(arguments.json)
    result: dict[str, Any] = {
        "teacher": "", **provenance(), "judged": {}, "physics of the teacher": {},
        "energies in eV": kept,
    }  # fmt: skip

    def save() -> None:
        if arguments.json:
            write_json(arguments.json, result)

    save()
    teacher = Judged(arguments.teacher, kept, save)
    judged = [Judged(name, kept, save) for name in arguments.names]
    result["teacher"] = teacher.identity()
    if "energies" in arguments.only:
        by_teacher = energies_of(truth, teacher)
        for who in judged:
            sets = score(truth, energies_of(truth, who), by_teacher)
            found = {"version": who.identity(), "sets": sets, "failed": teacher.failed | who.failed}
            result["judged"][who.name] = {"energies": found}
            save()
    exact = {name: calculator_of(name, "float64") for name in arguments.names}
    for part in [part for part in PARTS if part in arguments.only]:
        result["physics of the teacher"][part] = PARTS[part](teacher.calculator)
        for name, calculator in exact.items():
            result["judged"].setdefault(name, {})[part] = PARTS[part](calculator)
            save()
    return result


def _kept(path: Path) -> dict[str, dict[str, float]]:
    """The energies in a file of an earlier call."""
    try:
        kept = json.loads(path.read_text())["energies in eV"]
        return {who: {k: float(e) for k, e in found.items()} for who, found in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DistillError(
            f"{path} is there and not a result of this script; give --json another name."
        ) from error


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="who is judged")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="energies to compare with")
    parser.add_argument("--teacher", default="gfn2-xtb")
    choices = ["energies", *PARTS]
    parser.add_argument("--only", nargs="+", choices=choices, default=choices)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keeps all that was found")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="the tables, as Markdown")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # of atoms that a student does not know
    try:
        text = markdown(judge(arguments))
        if arguments.out:
            with whole_file(arguments.out) as place:
                place.write_text(text)
    except DistillError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(text, end="")


if __name__ == "__main__":
    main()
