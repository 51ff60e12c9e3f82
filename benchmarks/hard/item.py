"""An item of the suite: one kind of maltreatment, tried many times."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Trial:
    """What one trial came to. problem: what went wrong, empty where nothing did."""

    problem: str = ""
    note: str = "as it should"


@dataclass(frozen=True)
class Place:
    """Where an item works, how often it tries, and where its random moments come from."""

    folder: Path
    times: int
    rng: np.random.Generator
    quick: bool


@dataclass(frozen=True)
class Item:
    """times: of the trials, in the long run and in the quick one."""

    name: str
    what: str
    right: str
    times: tuple[int, int]
    function: Callable[[Place], Iterator[Trial]]


ITEMS: dict[str, Item] = {}


def item(
    name: str, what: str, right: str, times: tuple[int, int]
) -> Callable[[Callable[[Place], Iterator[Trial]]], Callable[[Place], Iterator[Trial]]]:
    """Notes a function as an item. what: is done; right: what should happen then."""

    def note(function: Callable[[Place], Iterator[Trial]]) -> Callable[[Place], Iterator[Trial]]:
        ITEMS[name] = Item(name, what, right, times, function)
        return function

    return note
