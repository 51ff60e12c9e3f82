"""The card of the data: all of the recipe's sets stand in it, and samples are scaled rightly."""

from collections.abc import Callable
from types import ModuleType

import pytest

from distill.data.sampling import Sampling
from distill.pretrained import recipe


@pytest.fixture(scope="module")
def card(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("data_card")


def test_each_set_says_what_it_is_for(card: ModuleType) -> None:
    parts = card.parts_of_recipe()
    assert parts["drugs"][1] == ["original", "tiny", "ultra-tiny"]
    assert parts["ionized"][1] == ["original", "tiny"]
    assert parts["test-drug"][1] == ["test"]
    assert not {part.name for part in recipe.CRYSTALS} & parts.keys()  # nobody learned them


def test_a_sample_is_scaled_to_its_set(card: ModuleType) -> None:
    part = recipe.Part("ions", "ions:train", Sampling(frames=2, temperatures=(300.0,)))
    found = card.sample_of(part, 0.0)
    assert found.labelled == card.FEWEST and len(found.molecules) == 39
    assert found.geometries * found.scale == pytest.approx(39 * 2, rel=0.5)
    assert found.seconds > 0


@pytest.mark.parametrize(("number", "shown"), {14428: "14,000", 97.3: "97", 0.4: "0"}.items())
def test_numbers_have_two_digits(card: ModuleType, number: float, shown: str) -> None:
    assert card.about(number) == shown
