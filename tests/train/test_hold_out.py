"""What is held out: never all that there is of a charge or an element, where that can be."""

import numpy as np
import pytest

from distill.errors import DistillError
from distill.evaluate.frames import LabelledFrame
from distill.train.hold_out import Split, check_valid, hold_out, kinds_of


def frames(*molecules: tuple[str, list[int], int, int]) -> list[LabelledFrame]:
    """Of each molecule (name, numbers, charge): so many."""
    return [
        LabelledFrame(
            name, np.array(numbers), np.zeros((len(numbers), 3)), 0.0,
            np.zeros((len(numbers), 3)), charge=charge,
        )
        for name, numbers, charge, count in molecules
        for _ in range(count)
    ]  # fmt: skip


def alone(split: Split) -> set[tuple[str, int]]:
    """Kinds that only the held-out part has."""
    return set().union(*map(kinds_of, split.valid)) - set().union(*map(kinds_of, split.train))


def test_no_charge_and_no_element_is_held_out_as_a_whole() -> None:
    some = frames(
        *((f"m{k}", [6, 1], 0, 3) for k in range(8)),
        ("anion", [6, 1], -1, 3), ("cation", [6, 1], 1, 3), ("chloride", [17, 6], 0, 3),
    )  # fmt: skip
    for seed in range(200):
        split = hold_out(some, seed)
        assert len(split.valid) == 3 and len({f.name for f in split.valid}) == 1
        assert not alone(split)


def test_two_that_share_a_charge_are_not_both_held_out() -> None:
    some = frames(*((f"n{k}", [6], 0, 1) for k in range(20)), ("a", [6], -1, 1), ("b", [6], -1, 1))
    for seed in range(200):
        assert not alone(hold_out(some, seed))


def test_where_every_molecule_has_a_charge_geometries_are_held_out() -> None:
    some = frames(("a", [6], 0, 10), ("b", [6], 1, 10), ("c", [6], -1, 2))
    for seed in range(50):
        split = hold_out(some, seed)
        assert "2 of 22 geometries" in split.how and not alone(split)
    with pytest.raises(DistillError, match="none can be held out"):
        hold_out(frames(("a", [6], 0, 1), ("b", [6], 1, 1)), 0)


def test_what_is_judged_by_must_have_been_learned() -> None:
    water = frames(("O", [8, 1, 1], 0, 2))
    with pytest.raises(DistillError, match=r"v\.h5 has molecules of charge -1, \+2, which"):
        check_valid(water, frames(("a", [8], -1, 1), ("b", [8], 2, 1)), "v.h5")
    with pytest.raises(DistillError, match=r"v\.h5 has C, which"):
        check_valid(water, frames(("a", [6, 8], 0, 1)), "v.h5")
    check_valid(water, frames(("a", [8, 8], 0, 1)), "v.h5")


def test_isolated_atoms_are_not_held_out() -> None:
    some = frames(("H", [1], 0, 1), ("O", [8], 0, 1), ("water", [8, 1, 1], 0, 20))
    for seed in range(20):
        split = hold_out(some, seed)
        assert {f.name for f in split.valid} == {"water"} and len(split.train) == 20
