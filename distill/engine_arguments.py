"""Arguments of the engines, looked at early: DistillError for what cannot be meant."""

import difflib
import math
import operator
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from distill.errors import DistillError, first_line


def check_choice(name: str, given: Any, choices: Collection[Any]) -> None:
    """One of a few words (or None, where that is among them)."""
    if (given is not None and not isinstance(given, str)) or given not in choices:
        words = [f"'{choice}'" for choice in choices if choice is not None]
        raise DistillError(f"{name} is '{given}'; use {', '.join(words[:-1])} or {words[-1]}.")


def unknown_option(function: str, name: str, names: Sequence[str]) -> DistillError:
    """The sentence for an argument that a function does not take."""
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean '{near[0]}'? It takes" if near else "it takes"
    return DistillError(f"{function} does not know '{name}'; {hint} {', '.join(names)}.")


def check_skin(given: Any, positive: bool = False) -> float:
    """A neighbour list's skin in Å, as a float. positive: not zero either."""
    fits = is_number(given) and math.isfinite(given)
    if not fits or given < 0 or (given == 0 and positive):
        wanted = "a positive length in Å" if positive else "a length in Å that is not negative"
        raise DistillError(f"skin is {given}; use {wanted}, 1.0 for example.")
    return float(given)


def check_threads(given: Any) -> int:
    """A number of threads."""
    count = whole(given)
    if count is None or count < 1:
        raise DistillError(f"threads is {given!r}; use 1 or more.")
    return count


def check_device(given: Any) -> str:
    """A device on which torch can compute."""
    import torch  # some who check other things have none

    try:
        device = str(torch.device(given))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise DistillError(
            f"device '{given}' cannot be used ({first_line(error)}); use 'cpu'."
        ) from error
    return device


def check_indices(name: str, given: Iterable[Any]) -> list[int]:
    """Whole numbers; a mask, or fractions cut off, would choose other atoms than are meant."""
    try:
        indices = [whole(i) for i in given]
    except TypeError:
        indices = [None]
    if None in indices:
        raise DistillError(
            f"{name} must be a list of whole numbers, the indices of atoms; of a mask, give "
            "numpy.flatnonzero(mask)."
        )
    return [i for i in indices if i is not None]


def whole(given: Any) -> int | None:
    """An int of Python's or numpy's, None for anything else; True and False are none."""
    if isinstance(given, bool) or type(given).__name__ in ("bool", "bool_"):
        return None
    try:
        return operator.index(given)
    except TypeError:
        return None


def is_number(given: Any) -> bool:
    """Whether it is a real number, of Python's or numpy's; neither text nor a Quantity is."""
    if isinstance(given, (bool, str, bytes)) or hasattr(given, "unit"):
        return False
    try:
        float(given)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
