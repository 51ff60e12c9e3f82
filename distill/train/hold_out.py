"""What is set aside to judge a student by: molecules as a whole, none of a kind of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from distill.elements import symbols
from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame

HELD_OUT = 0.1

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """Frames to train on and to validate on, and how they were told apart."""

    train: list[LabelledFrame]
    valid: list[LabelledFrame]
    how: str


def molecule_of(frame: LabelledFrame) -> str:
    """What tells frames of one molecule from others."""
    return frame.molecule or frame.name


def kinds_of(frame: LabelledFrame) -> set[tuple[str, int]]:
    """What a student must have met to be judged: the charge and the elements."""
    return {("charge", frame.charge), *(("element", int(z)) for z in set(frame.numbers.tolist()))}


def hold_out(frames: Sequence[LabelledFrame], seed: int) -> Split:
    """A tenth of the molecules by the seed, or of the geometries when there is one molecule.

    No charge and no element is held out as a whole: a molecule that alone has one stays in the
    training set. Where every molecule has one, a tenth of the geometries is held out. Isolated
    atoms, which judge nothing, stay in the training set, too. Raises DistillError when nothing can
    be held out.
    """
    atoms = [frame for frame in frames if len(frame.numbers) == 1]
    if 0 < len(atoms) < len(frames):
        split = hold_out([frame for frame in frames if len(frame.numbers) > 1], seed)
        return Split([*split.train, *atoms], split.valid, split.how)
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(map(molecule_of, frames)))
    if len(names) > 1:
        kinds: dict[str, set[tuple[str, int]]] = {name: set() for name in names}
        for frame in frames:
            kinds[molecule_of(frame)] |= kinds_of(frame)
        order = [names[k] for k in rng.permutation(len(names))]
        held = set(_spared(order, [kinds[name] for name in order], _tenth(names)))
        if held:
            keep = [molecule_of(frame) not in held for frame in frames]
            return _split(frames, keep, f"{len(held)} of {len(names)} molecules, held out")
    elif len(frames) < 2:
        raise DistillError("One labelled geometry is too few to train on; label more.")
    order_of_frames = rng.permutation(len(frames)).tolist()
    kinds_of_frames = [kinds_of(frames[k]) for k in order_of_frames]
    chosen = set(_spared(order_of_frames, kinds_of_frames, _tenth(frames)))
    if not chosen:
        raise DistillError(
            f"Each of the {len(frames)} labelled geometries has a charge or an element that no "
            "other has: none can be held out to judge the student by; label more, or give --valid."
        )
    keep = [k not in chosen for k in range(len(frames))]
    return _split(frames, keep, f"{len(chosen)} of {len(frames)} geometries, held out")


def check_valid(train: Sequence[LabelledFrame], valid: Sequence[LabelledFrame], name: str) -> None:
    """Raises DistillError for a charge or an element to judge by that is not trained on."""
    known = set().union(*map(kinds_of, train))
    new = set().union(*map(kinds_of, valid)) - known
    charges = sorted(value for kind, value in new if kind == "charge")
    elements = [value for kind, value in new if kind == "element"]
    if charges:
        raise DistillError(
            f"{name} has molecules of charge {', '.join(f'{q:+d}' for q in charges)}, which the "
            "training data has not; add some to it, or give another --valid."
        )
    if elements:
        raise DistillError(
            f"{name} has {symbols(elements)}, which the training data has not; add molecules with "
            "that, or give another --valid."
        )


def _tenth(things: Sequence[object]) -> int:
    return max(1, round(HELD_OUT * len(things)))


def _spared(order: Sequence[T], kinds: Sequence[set[tuple[str, int]]], count: int) -> list[T]:
    """The first ``count`` in the order that leave some of each of their kinds behind."""
    left = Counter(kind for some in kinds for kind in some)
    found: list[T] = []
    for thing, own in zip(order, kinds):
        if len(found) < count and all(left[kind] > 1 for kind in own):
            left.subtract(own)
            found.append(thing)
    return found


def _split(frames: Sequence[LabelledFrame], keep: Sequence[bool], how: str) -> Split:
    return Split(
        [frame for frame, yes in zip(frames, keep) if yes],
        [frame for frame, yes in zip(frames, keep) if not yes],
        how,
    )
