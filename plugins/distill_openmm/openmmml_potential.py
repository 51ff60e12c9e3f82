"""Students in OpenMM-ML: by name, or as MLPotential("distill", modelPath=FILE)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openmm
import openmm.app
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from distill.errors import DistillError

PRECISIONS = {None: "float32", "single": "float32", "double": "float64"}


class DistillPotentialImplFactory(MLPotentialImplFactory):
    """What OpenMM-ML finds under the names distill, distill-original, distill-tiny, ..."""

    def createImpl(
        self, name: str, modelPath: str | Path | None = None, **args: Any
    ) -> "DistillPotentialImpl":
        """name: distill-SIZE is a shipped student; distill is the student file ``modelPath``."""
        if name != "distill":
            if modelPath is not None:
                raise DistillError(
                    f"'{name}' is a shipped student and takes no modelPath; "
                    "use MLPotential('distill', modelPath=...) for a file."
                )
            return DistillPotentialImpl(name.removeprefix("distill-"))
        if modelPath is None:
            raise DistillError(
                "MLPotential('distill') needs modelPath='FILE.safetensors'; "
                "for a shipped student use the name 'distill-tiny', for example."
            )
        return DistillPotentialImpl(modelPath)


class DistillPotentialImpl(MLPotentialImpl):
    """Adds the force of :func:`distill_openmm.create_force`.

    It is a PythonForce, as OpenMM-ML's own potentials are: interpolation copies it, and users copy
    and save Systems. ``createSystem`` and ``createMixedSystem`` take precision="single" (default)
    or "double", device (default: CUDA where there is one), and skin in Å. The energy includes the
    isolated atoms' energies.
    """

    def __init__(self, student: str | Path):
        self.student = student

    def addForces(
        self,
        topology: openmm.app.Topology,
        system: openmm.System,
        atoms: Iterable[int] | None,
        forceGroup: int,
        precision: str | None = None,
        skin: float = 1.0,
        **args: Any,
    ) -> None:
        """Called by OpenMM-ML.

        Raises DistillError for an element, or a ``charge``, that the student does not know.
        """
        from distill.student import load_student
        from distill_openmm.force import create_force

        if precision not in PRECISIONS:
            raise DistillError(f"precision is '{precision}'; use 'single' or 'double'.")
        if args.get("multiplicity") not in (None, 1):
            raise DistillError(
                "A student takes no multiplicity: it holds for closed shells. Leave it out."
            )
        if args.get("charge") is not None:
            load_student(self.student).check_charge(round(args["charge"]))
        periodic = topology.getPeriodicBoxVectors() is not None
        force = create_force(
            self.student,
            topology,
            atoms,
            periodic=periodic or system.usesPeriodicBoundaryConditions(),
            dtype=PRECISIONS[precision],
            skin=skin,
            kind="python",
            device=str(self._getTorchDevice(args)),
        )
        force.setForceGroup(forceGroup)
        system.addForce(force)

    def getMLLongRange(self) -> bool:
        """Students look no further than a few cutoffs."""
        return False
