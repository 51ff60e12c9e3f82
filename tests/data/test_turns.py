"""Whose turn it is, and how much at a time."""

import math

import pytest

from distill.data.molecules import from_smiles
from distill.data.turns import Standing, shares, whose_turn
from distill.data.walk import MANY


@pytest.fixture
def standings() -> list[Standing]:
    return [Standing(from_smiles(smiles)) for smiles in ("O", "CO", "CCO")]


def test_first_all_then_the_worst_and_sometimes_the_least_labelled(
    standings: list[Standing],
) -> None:
    errors = {"O": 0.01, "CO": 0.5, "CCO": 0.1}
    order = []
    for turn in range(1, 4):
        one = whose_turn(standings, turn, first=1)
        one.came(1, 0.1, errors[one.molecule.name])
        order.append(one.molecule.name)
    assert order == ["CO", "CCO", "O"]
    standings[1].came(30, 0.1, 0.5)
    standings[2].came(5, 0.1, 0.1)
    assert whose_turn(standings, 5).molecule.name == "CO"
    standings[1].came(30, 0.1, 0.02)
    assert whose_turn(standings, 6).molecule.name == "CCO"
    assert whose_turn(standings, 8).molecule.name == "O"


def test_without_a_student_the_least_labelled(standings: list[Standing]) -> None:
    for turn in range(1, 10):
        whose_turn(standings, turn).came(1, 0.1, None)
    assert [one.tried for one in standings] == [3, 3, 3]


def test_a_batch_takes_ten_seconds(standings: list[Standing]) -> None:
    one = standings[0]
    assert one.batch() == 1
    for seconds, expected in ((0.001, MANY), (0.5, 20), (3.0, 3), (100.0, 1), (math.nan, 1)):
        one.came(1, seconds, None)
        assert one.batch() == expected  # of a batch that failed, nothing is learned


def test_shares() -> None:
    assert shares(10, 3) == [4, 3, 3] and shares(2, 3) == [1, 1, 0] and shares(0, 2) == [0, 0]
