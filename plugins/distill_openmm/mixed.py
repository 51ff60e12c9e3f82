"""stand-in"""

from typing import Any


def mixed(student: Any, topology: Any, system: Any, atoms: Any, **options: Any) -> Any:
    from openmmml import MLPotential

    p = MLPotential("distill-tiny")
    p._impl.student = student
    return p.createMixedSystem(topology, system, atoms, **options)
