"""The card of the shipped students' data: what is in it, and what it cost.

    python -m distill.pretrained.make -o build/students --data-only
    python benchmarks/data_card.py build/students -o docs/data.md

The cost is measured on a few molecules of each set, one process with one thread, and scaled to all.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from distill.data.label import run_task
from distill.data.molecules import read_molecules
from distill.data.sampling import chunks
from distill.elements import ELEMENTS, symbols
from distill.evaluate import read_frames
from distill.evaluate.report import provenance
from distill.pretrained import recipe
from distill.teacher.base import TeacherSpec

PERCENTILES = (50, 90, 99, 99.9, 100)


def seconds_a_frame(part: recipe.Part, molecules: int) -> float:
    """Geometry and label, on one core."""
    tasks = [
        task for m in read_molecules(part.source)[:molecules] for task in chunks(m, part.sampling)
    ]
    spec = TeacherSpec(recipe.TEACHER)
    run_task(*tasks[0], spec)  # what is loaded once
    started = time.process_time()
    frames = sum(len(run_task(molecule, work, spec)) for molecule, work in tasks)
    return (time.process_time() - started) / frames


def row(name: str, values: list[str]) -> str:
    """Of a Markdown table."""
    return f"| {name} | " + " | ".join(values) + " |"


def document(folder: Path, molecules: int) -> str:
    """The page."""
    place = provenance()
    parts = [
        *recipe.TRAIN,
        *recipe.MENDING,
        *recipe.BARRIERS,
        *recipe.WIDER,
        *recipe.SMALL,
        *recipe.MUTATED,
        *recipe.VALIDATION,
        *recipe.TEST,
        *recipe.DRUG,
    ]
    parts = [part for part in parts if (folder / f"{part.name}.h5").is_file()]
    head = [
        "# The data of the shipped students\n",
        "Made by `python -m distill.pretrained.make -o DIR --data-only` from "
        "`distill/pretrained/recipe.py`, whose seeds make the same geometries again; described by "
        f"`benchmarks/data_card.py`. Labels: {recipe.TEACHER}. {place['date']}, "
        f"{place['machine']['cpu']}, tblite through the versions of `constraints.txt`.\n",
    ]
    sizes = [row("file", ["molecules", "geometries", "atoms", "charges", "CPU hours"])]
    sizes.append(row("---", ["---:"] * 5))
    elements = [row("atoms of", [symbols([z]) for z in ELEMENTS])]
    elements.append(row("---", ["---:"] * len(ELEMENTS)))
    forces = [row("force components, eV/Å", [f"{p:g}%" for p in PERCENTILES] + ["RMS"])]
    forces.append(row("---", ["---:"] * (len(PERCENTILES) + 1)))
    kinds = [row("file", ["geometries by their source"]), row("---", ["---"])]
    hours = 0.0
    for part in parts:
        frames = read_frames(folder / f"{part.name}.h5")
        cost = seconds_a_frame(part, molecules) * len(frames) / 3600
        hours += cost
        charges = sorted({f.charge for f in frames})
        counts = Counter(int(z) for f in frames for z in f.numbers)
        components = np.abs(np.concatenate([f.forces.ravel() for f in frames]))
        sizes.append(
            row(
                part.name,
                [
                    f"{len({f.name for f in frames}):,}",
                    f"{len(frames):,}",
                    f"{sum(len(f.numbers) for f in frames):,}",
                    ", ".join(f"{c:+d}" if c else "0" for c in charges),
                    f"{cost:.2f}",
                ],
            )
        )
        elements.append(row(part.name, [f"{counts[z]:,}" for z in ELEMENTS]))
        spread = [f"{np.percentile(components, p):.3g}" for p in PERCENTILES]
        forces.append(row(part.name, [*spread, f"{np.sqrt((components**2).mean()):.3g}"]))
        sources = Counter(f.source for f in frames)
        kinds.append(row(part.name, [", ".join(f"{n:,} {s}" for s, n in sources.most_common())]))
    tables = [sizes, kinds, elements, forces]
    cost_line = f"\nAll of it: {hours:.1f} CPU hours ({molecules} molecules of each timed).\n"
    return "\n".join([*head, *("\n".join(t) + "\n" for t in tables), cost_line])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the datasets")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--molecules", type=int, default=10, help="of each set, to be timed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.write_text(document(arguments.folder, arguments.molecules))


if __name__ == "__main__":
    main()
