"""The scripts of benchmarks/ as modules."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports one by its name."""
    sys.path.insert(0, BENCHMARKS)
    yield import_module
    sys.path.remove(BENCHMARKS)
