"""Two of the same command into one place at once."""

import time
from collections.abc import Iterator

from hard.item import Place, Trial, item
from hard.kill import fresh, labelling, running, training
from hard.programs import Program, refusal_problem, success_problem
from hard.work import Work

RIGHT = "one is refused in a sentence; the other ends as if it had been alone"


def pairs(work: Work, place: Place, again: bool) -> Iterator[Trial]:
    """The second starts at once, or a while after the first. again: as one that goes on."""
    for number in range(place.times):
        folder = fresh(place, number)
        programs = [Program(work.command(folder / work.out, False), folder / "first")]
        time.sleep((0.0, 0.5, 2.0, 4.0)[number % 4])
        programs.append(Program(work.command(folder / work.out, again), folder / "second"))
        ends = sorted((p.finish() for p in programs), key=lambda done: done.code != 0)
        wrong = success_problem(ends[0]) or work.problem(folder / work.out, {})
        if wrong:
            yield Trial(f"the first: {wrong}")
        elif ends[1].code == 0:  # it came when the other was done, or it took part
            both = max(p.started for p in programs) - programs[0].started
            later = ends[0].seconds < both or ends[1].seconds < 0.5 * ends[0].seconds
            later = later or any(done.out.startswith("0 geometries") for done in ends)
            yield Trial("" if later else "both went on", "the second came too late")
        else:
            said = refusal_problem(ends[1])
            yield Trial(f"the second: {said}" if said else "", "refused")


@item("two-label", "two `distill label` into one file", RIGHT, (8, 2))
def two_label(place: Place) -> Iterator[Trial]:
    """The second now and later."""
    return pairs(labelling(place)[0], place, True)


@item("two-train", "two `distill train` into one folder", RIGHT, (4, 1))
def two_train(place: Place) -> Iterator[Trial]:
    """Both without --resume."""
    return pairs(training(place)[0], place, False)


@item("two-resume", "`distill train --resume` into the folder of one that runs", RIGHT, (4, 1))
def two_resume(place: Place) -> Iterator[Trial]:
    """The second goes on with what the first still does."""
    return pairs(training(place)[0], place, True)


@item("two-run", "two `distill run` into one folder", RIGHT, (4, 1))
def two_run(place: Place) -> Iterator[Trial]:
    """The second now and later."""
    return pairs(running(place)[0], place, True)
