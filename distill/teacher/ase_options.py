"""What the options of an ASE calculator say: Python values, objects, calls, and what is different
for each geometry.

``--teacher-option key=value`` is a text. It becomes, in this order:

- ``call:package.module:name``: what that class or function returns; its own arguments are the
  options ``key.argument=value``, to any depth.
- ``object:package.module:name``: that thing itself, as ``object:numpy:float64``.
- a Python literal where it is one: a number, True, None, a tuple, a dictionary.
- otherwise the text. A number that is meant as a text has quotes of its own, ``key='"1"'``.

Wherever ``{charge}``, ``{spin}`` or ``{unpaired}`` stands, the geometry's charge, its multiplicity
2S+1 or its number of unpaired electrons 2S goes first.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from typing import Any

from distill.errors import DistillError, reason

CALL, OBJECT = "call:", "object:"
Values = Mapping[str, str]
"""What goes in place of the names in braces."""


def of_geometry(charge: int, spin: int) -> dict[str, str]:
    """What ``{charge}``, ``{spin}`` and ``{unpaired}`` stand for."""
    return {"charge": str(charge), "spin": str(spin), "unpaired": str(spin - 1)}


def depends_on_geometry(options: Mapping[str, str]) -> bool:
    """Whether an option has a name in braces, so that each charge and spin needs a calculator."""
    return any("{" + name + "}" in text for text in options.values() for name in of_geometry(0, 1))


def arguments(options: Mapping[str, str], values: Values) -> dict[str, Any]:
    """The keyword arguments that options stand for.

    Raises DistillError where something to call or to name cannot be found, and for an option
    ``key.argument`` without a ``key`` that is called.
    """
    found: dict[str, Any] = {}
    inner: dict[str, dict[str, str]] = {}
    for key, text in options.items():
        outer, dot, rest = key.partition(".")
        if not dot:
            continue
        if not options.get(outer, "").startswith(CALL):
            raise DistillError(
                f"The option {key} is an argument of {outer}, which is not called; give "
                f"--teacher-option {outer}=call:package.module:name, too."
            )
        inner.setdefault(outer, {})[rest] = text
    for key, text in options.items():
        if "." in key:
            continue
        if text.startswith(CALL):
            called = named(text.removeprefix(CALL), f"The option {key}={text}")
            found[key] = called(**arguments(inner.get(key, {}), values))
        elif text.startswith(OBJECT):
            found[key] = named(text.removeprefix(OBJECT), f"The option {key}={text}")
        else:
            for name, value in values.items():
                text = text.replace("{" + name + "}", value)
            found[key] = literal(text)
    return found


def named(text: str, what: str) -> Any:
    """The thing that ``package.module:name`` stands for; ``name`` may have dots, as a class's
    method has. DistillError, which begins with ``what``, where there is none."""
    module, colon, name = text.partition(":")
    if not (module and colon and name) or ":" in name:
        raise DistillError(f"{what} names nothing; write package.module:name.")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        raise DistillError(
            f"{what} cannot be imported ({reason(error)}); install the package "
            "that brings it, or put the folder of your own module on PYTHONPATH."
        ) from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise DistillError(
                f"{what}: {module} has no '{name}'; check the spelling of package.module:name."
            ) from error
    return found


def literal(text: str) -> Any:
    """The Python value of a text, or the text."""
    if text.lower() in ("true", "false"):  # as strings both would count as true
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
