"""stand-in"""
from typing import Any
def mixed(student: Any, topology: Any, system: Any, atoms: Any, **options: Any) -> Any:
    from distill_openmm.openmmml_potential import DistillPotentialImpl
    from openmmml import MLPotential
    import openmmml
    p = MLPotential("distill-tiny"); p._impl.student = student
    return p.createMixedSystem(topology, system, atoms, **options)
