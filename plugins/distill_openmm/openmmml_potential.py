"""Students in OpenMM-ML: by name, or as MLPotential("distill", modelPath=FILE)."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import openmm
import openmm.app
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from distill.charge import as_whole
from distill.engine_arguments import check_choice, unknown_option
from distill.errors import DistillError
from distill.student import Student

PRECISIONS = {None: "float32", "single": "float32", "double": "float64"}
OPTIONS = ("precision", "device", "skin", "charge", "multiplicity")
OF_WHOLE_SYSTEMS = (*OPTIONS, "hydrogenMass", "removeCMMotion")
OF_MIXED_SYSTEMS = (
    *OPTIONS, "linkAtomDistances", "removeConstraints", "forceGroup", "interpolate", "embedding",
    "returnInfo",
)  # fmt: skip
"""What ``createSystem`` and ``createMixedSystem`` take, OpenMM-ML's own among them."""


class DistillPotentialImplFactory(MLPotentialImplFactory):
    """What OpenMM-ML finds under the names distill, distill-original, distill-tiny, ..."""

    def createImpl(
        self, name: str, modelPath: str | Path | Student | None = None, **args: Any
    ) -> "DistillPotentialImpl":
        """name: distill-SIZE is a shipped student; distill is the student file, or the Student,
        ``modelPath``."""
        refuse_unknown(args, ("modelPath",), "MLPotential")
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
    or "double", device (default: CUDA where there is one), and skin in Å; charge and multiplicity
    are checked. ``createSystem`` takes hydrogenMass too, as OpenMM's force fields do: what a
    hydrogen gains, the atom that it is bonded to loses. Other arguments are refused. The energy
    includes the isolated atoms' energies.

    A force of no strength along the student's bonds tells OpenMM what a molecule is, see
    ``zero_bonds``. ``system.alarm`` is that of ``create_force``.
    """

    def __init__(self, student: str | Path | Student):
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
        from distill_openmm.bonds import zero_bonds
        from distill_openmm.force import create_force
        from distill_openmm.masses import repartition

        if atoms is not None:
            refuse_unknown(args, OF_MIXED_SYSTEMS, "createMixedSystem")
            atoms = list(atoms)
        else:
            refuse_unknown(args, OF_WHOLE_SYSTEMS, "createSystem")
            if args.get("hydrogenMass") is not None:
                repartition(topology, system, args["hydrogenMass"], "hydrogenMass")
        check_choice("precision", precision, PRECISIONS)
        if args.get("multiplicity") not in (None, 1):
            raise DistillError(
                "A student takes no multiplicity: it holds for closed shells. Leave it out."
            )
        if args.get("charge") is not None:
            own = self.student
            own = own if isinstance(own, Student) else load_student(own)
            own.check_charge(as_whole(args["charge"], "charge", "charge"))
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
            # with interpolation this is an empty one, whose forces are moved elsewhere
            system=system if system.getNumParticles() else None,
        )
        bonds = zero_bonds(topology, atoms)
        for each in (force, bonds):
            each.setForceGroup(forceGroup)
            system.addForce(each)
        system.alarm, system.computation = force.alarm, force.computation

    def getMLLongRange(self) -> bool:
        """Students look no further than a few cutoffs."""
        return False


def refuse_unknown(args: dict[str, Any], names: Sequence[str], function: str) -> None:
    """DistillError for an argument that is not among the names that ``function`` takes."""
    for name, value in args.items():
        if name in names or (name in ("constraints", "hydrogenMass") and value is None):
            continue
        if name == "constraints":
            raise DistillError(
                "A student's bonds vibrate: it was trained without constraints, so leave "
                "constraints out. For longer steps give createSystem a hydrogenMass."
            )
        if name == "hydrogenMass":
            raise DistillError(
                "The masses of a mixed System are the given System's; give hydrogenMass to the "
                "force field's createSystem."
            )
        raise unknown_option(function, name, names)
