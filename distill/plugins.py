"""What the plugins bring along, found by the entry points of the package."""

from importlib.metadata import entry_points
from typing import Any

from distill.errors import DistillError


def of_openmm(group: str, who: str, extra: str = "openmm") -> Any:
    """What the OpenMM plugin has registered in a group of entry points.

    who: needs OpenMM, the beginning of a sentence. extra: brings it along. Raises DistillError
    where it is not there, or cannot be imported.
    """
    fix = f"`pip install 'mlff-distiller[{extra}]'`"
    for entry in entry_points(group=group, name="openmm"):
        try:
            return entry.load()
        except ImportError as error:
            raise DistillError(f"{who}, which cannot be imported ({error}); {fix}.") from error
    raise DistillError(f"The OpenMM plugin is not installed; {fix}.")
