"""The card of the shipped students' data: what is in it, and what it costs.

    python benchmarks/data_card.py -o docs/data.md

Molecules and their elements are counted in each of the recipe's sets as a whole. Geometries, forces
and cost are those of some of its molecules, drawn by chance and labelled here, one process with one
thread, for about --seconds a set, and scaled to all.
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from students import table

from distill.data.dataset import MoleculeData
from distill.data.label import run_task
from distill.data.molecules import Molecule, read_molecules
from distill.data.sampling import chunks
from distill.elements import ELEMENTS, symbols
from distill.evaluate.report import provenance
from distill.pretrained import recipe
from distill.pretrained.make import sets_of
from distill.teacher.base import TeacherSpec

PERCENTILES = (50, 90, 99, 99.9)
FEWEST = 3
"""Molecules of a set that are labelled at least, however long it takes."""


@dataclass(frozen=True)
class Sample:
    """Some of a set's molecules, labelled in ``seconds`` of processor time."""

    molecules: list[Molecule]
    labelled: int
    data: list[MoleculeData]
    seconds: float

    @property
    def scale(self) -> float:
        """From what was labelled to the whole set."""
        return len(self.molecules) / self.labelled

    @property
    def geometries(self) -> int:
        """Of what was labelled."""
        return sum(map(len, self.data))


def parts_of_recipe() -> dict[str, tuple[recipe.Part, list[str]]]:
    """The recipe's parts by their names, and what each is for."""
    found: dict[str, tuple[recipe.Part, list[str]]] = {}
    uses = {size: sets_of(size) for size in recipe.RUNS}
    uses |= {"validation": ["VALIDATION"], "test": ["TEST", "DRUG"]}
    for use, names in uses.items():
        for part in dict.fromkeys(part for name in names for part in getattr(recipe, name)):
            found.setdefault(part.name, (part, []))[1].append(use)
    return found


def sample_of(part: recipe.Part, seconds: float) -> Sample:
    """Labels molecules until ``seconds`` of processor time are gone."""
    molecules = read_molecules(part.source)
    spec = TeacherSpec(recipe.TEACHER)
    order = np.random.default_rng(recipe.SEED).permutation(len(molecules))
    started, labelled, data = time.process_time(), 0, []
    for k in order:
        data += [run_task(*task, spec) for task in chunks(molecules[k], part.sampling)]
        labelled += 1
        if labelled >= FEWEST and time.process_time() - started > seconds:
            break
    return Sample(molecules, labelled, data, time.process_time() - started)


def about(number: float) -> str:
    """Two digits of a number."""
    digits = len(str(round(number)))
    return f"{round(number, 2 - digits):,.0f}"


def document(seconds: float) -> str:
    """The page."""
    place = provenance()
    columns = ["set", "molecules", "geometries", "charges", "CPU hours"]
    columns += ["labelled here: geometries of molecules", "for"]
    sizes, kinds, elements, forces = [], [], [], []
    hours = 0.0
    # loads what is loaded once
    run_task(read_molecules("drugs:train:1")[0], recipe.ONCE, TeacherSpec(recipe.TEACHER))
    for name, (part, uses) in parts_of_recipe().items():
        found = sample_of(part, seconds)
        cost = found.seconds * found.scale / 3600
        hours += cost
        charges = sorted({molecule.charge for molecule in found.molecules})
        sizes.append(
            [
                f"`{name}`: `{Path(part.source).name}`",
                f"{len(found.molecules):,}",
                about(found.geometries * found.scale),
                ", ".join(f"{c:+d}" if c else "0" for c in charges),
                f"{cost:.2f}",
                f"{found.geometries:,} of {found.labelled}",
                ", ".join(uses),
            ]
        )
        sources = Counter(str(source) for d in found.data for source in d.source)
        shares = [f"{n / found.geometries:.0%} {s}" for s, n in sources.most_common()]
        kinds.append([name, ", ".join(shares)])
        holding = Counter(int(z) for m in found.molecules for z in set(m.numbers))
        elements.append([name, *(f"{holding[z]:,}" for z in ELEMENTS)])
        components = np.abs(np.concatenate([d.forces.ravel() for d in found.data]))
        spread = [np.percentile(components, p) for p in PERCENTILES]
        spread += [components.max(), np.sqrt((components**2).mean())]
        forces.append([name, *(f"{x:.3g}" for x in spread)])
        print(*sizes[-1], sep=", ", flush=True)
    below = [f"{p:g}% below" for p in PERCENTILES]
    tables = "\n".join(
        [
            table(columns, sizes),
            table(["geometries of", "made by"], kinds),
            table(["molecules with", *(symbols([z]) for z in ELEMENTS)], elements),
            table(["force components, eV/Å", *below, "largest", "RMS"], forces),
        ]
    )
    return (
        "# The data of the shipped students\n\n"
        "`python -m distill.pretrained.make -o DIR --data-only` makes it, from "
        "`distill/pretrained/recipe.py`, whose seeds make the same geometries again. "
        f"`benchmarks/data_card.py` describes it: geometries, their sources, forces and cost are "
        f"those of the molecules that were labelled here, about {seconds:g} seconds for each set, "
        "scaled to all of it. Geometries with a force beyond "
        f"{recipe.WILDEST_FORCE:g} eV/Å are not trained on. "
        "No set to train on shares a scaffold with those to validate or to "
        f"test. Labels: {recipe.TEACHER}. {place['date']}, {place['machine']['cpu']}, one "
        "thread, tblite through the versions of `constraints.txt`.\n\n"
        f"{tables}\n"
        f"All of it: {hours:.1f} CPU hours.\n"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--seconds", type=float, default=40.0, help="of labelling, for each set")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.write_text(document(arguments.seconds))


if __name__ == "__main__":
    main()
