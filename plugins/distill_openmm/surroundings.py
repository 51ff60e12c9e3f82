"""What goes around a solute: water and ions in a box, implicit solvent, or nothing; its System."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from distill.engine_arguments import check_choice, is_number, whole
from distill.errors import DistillError, reason
from distill_openmm.prepared import angstroms

SOLVENTS = ("water", "obc2", "gbn2", None)
WATERS = {
    "tip3p": "tip3p", "tip3pfb": "tip3p", "spce": "spce", "opc3": "spce", "opc": "tip4pew",
    "tip4pew": "tip4pew", "tip4pfb": "tip4pew",
}  # fmt: skip
"""Waters of amber14/NAME.xml, and the box of OpenMM's Modeller that is like them."""
UNIT_CELLS = {
    "dodecahedron": np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5**0.5]]),
    "octahedron": np.array([[1, 0, 0], [1 / 3, 8**0.5 / 3, 0], [-1 / 3, 2**0.5 / 3, 6**0.5 / 3]]),
    "cube": np.eye(3),
}
"""Vectors of unit length, each point of whose lattice is 1 away from the next."""
PADDING = 12.0
SWITCH = 1.0
"""Å before the cutoff where Lennard-Jones begins to be switched off."""
SHRINKS = 0.05
"""Share of its width that a new box may lose to the barostat: it is built with gaps."""
MOST_ATOMS = 2_000_000


@dataclass(frozen=True)
class Surroundings:
    """solvent: "water", "obc2" or "gbn2" (implicit), or None. water: a name of WATERS. padding: Å
    of water on each side of the solute, None: PADDING or what the cutoff needs. salt: NaCl in
    mol/L, beside what neutralizes. box: its shape. cutoff: Å, of Lennard-Jones (switched off over
    the last Å, with the correction for what lies beyond) and of PME's direct part. hydrogen_mass:
    Da, of hydrogens that are not water's.
    seed: of the ions' places."""

    solvent: str | None = "water"
    water: str = "tip3p"
    padding: float | None = None
    salt: float = 0.0
    box: str = "dodecahedron"
    cutoff: float = 9.0
    hydrogen_mass: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("solvent", self.solvent, SOLVENTS)
        check_choice("water", self.water, WATERS)
        check_choice("box", self.box, UNIT_CELLS)
        if self.padding is not None:
            check_number("padding", self.padding, 0.0, 1000.0, "Å")
        check_number("salt", self.salt, 0.0, 5.0, "mol/L")
        check_cutoff(self.cutoff)
        check_hydrogen_mass(self.hydrogen_mass)
        if whole(self.seed) is None:
            raise DistillError(f"seed is {self.seed!r}; give a whole number.")

    def files(self, protein: bool = True) -> list[str]:
        """Of OpenMM: Amber14 (large) with its water and ions, and the implicit solvent."""
        water = [f"amber14/{self.water}.xml"]  # also has the ions
        implicit = [] if self.solvent in ("water", None) else [f"implicit/{self.solvent}.xml"]
        return [*(["amber14-all.xml"] if protein else []), *water, *implicit]

    def put(self, model: app.Modeller, forcefield: app.ForceField, named: dict[int, str]) -> None:
        """Adds water and ions to the solute in ``model``, where water is asked for.

        named: names of templates of the solute's residues, by the residues' index.
        """
        if self.solvent != "water":
            return
        where = angstroms(model.positions)
        vectors = box_vectors(where, self.padding, self.box, 2 * self.cutoff * (1 + SHRINKS))
        check_box(vectors, self.cutoff * (1.0 + SHRINKS), self.cutoff, self.padding)
        atoms = 100.0 * float(np.linalg.det(np.array([[*v] for v in vectors])))
        if atoms > MOST_ATOMS:
            raise DistillError(
                f"The box would hold about {atoms:,.0f} atoms; give a smaller padding, and see "
                "whether the positions are in Å."
            )
        with seeded(int(self.seed)):
            model.addSolvent(
                forcefield,
                model=WATERS[self.water],
                boxVectors=vectors,
                ionicStrength=self.salt * unit.molar,
                residueTemplates=templates(model.topology, named),
            )

    def system(
        self, topology: app.Topology, forcefield: app.ForceField, named: dict[int, str]
    ) -> openmm.System:
        """PME in a box; without one all pairs. Bonds of hydrogen, and waters, are rigid; they have
        their terms all the same, which hold a molecule that ``mixed`` interpolates."""
        method: dict[str, Any] = {"nonbondedMethod": app.NoCutoff}
        if topology.getPeriodicBoxVectors() is not None:
            method = periodic(self.cutoff)
        try:
            return forcefield.createSystem(
                topology,
                **method,
                constraints=app.HBonds,
                rigidWater=True,
                flexibleConstraints=True,
                hydrogenMass=self.hydrogen_mass,
                residueTemplates=templates(topology, named),
            )
        except ValueError as error:
            raise DistillError(
                f"The force field does not fit: {reason(error)}; PDBFixer mends many a PDB file, "
                "or give parameters of your own (--prmtop and --inpcrd)."
            ) from error


def periodic(cutoff: float) -> dict[str, Any]:
    """Arguments of createSystem for PME with a cutoff in Å."""
    return {
        "nonbondedMethod": app.PME,
        "nonbondedCutoff": 0.1 * cutoff,
        "switchDistance": 0.1 * (cutoff - SWITCH),
    }


def templates(topology: app.Topology, named: dict[int, str]) -> dict[Any, str]:
    """What OpenMM calls residueTemplates, of indices of residues."""
    return {r: named[r.index] for r in topology.residues() if r.index in named}


def box_vectors(
    positions: NDArray[np.float64], padding: float | None, shape: str, least: float
) -> list[openmm.Vec3]:
    """Rows, in nm, of a box with ``padding`` Å on each side of the sphere around positions (Å);
    without one it has PADDING, or what makes it ``least`` Å wide.

    OpenMM's own ``padding`` is what lies between two copies, and at least twice that for a small
    molecule.
    """
    cell = UNIT_CELLS[shape]
    width = 2.0 * (radius(positions) + (PADDING if padding is None else padding))
    if padding is None:
        width = max(width, 1.0001 * least / float(np.diag(cell).min()))
    return [openmm.Vec3(*row) for row in 0.1 * width * cell]


def radius(positions: NDArray[np.float64]) -> float:
    """Of the sphere around positions (N, 3), its centre in the middle of their extremes."""
    middle = 0.5 * (positions.min(axis=0) + positions.max(axis=0))
    return float(np.linalg.norm(positions - middle, axis=1).max())


def check_box(vectors: Any, needed: float, cutoff: float, padding: float | None = None) -> None:
    """DistillError for a box (rows in nm) less wide than twice ``needed`` Å; with a ``padding`` it
    says which would do."""
    width = 10.0 * min(vectors[k][k] for k in range(3))
    if width < 2.0 * needed:
        fix = "take a larger box"
        if padding is not None:
            longest = 10.0 * max(vectors[k][k] for k in range(3))
            more = 0.5 * longest * (2.0 * needed / width - 1.0)
            fix = f"give --padding {math.ceil(padding + more + 0.1)}"
        raise DistillError(
            f"The box is {width:.1f} Å wide, too little for a cutoff of {cutoff:g} Å, which needs "
            f"{2 * needed:.1f} Å; {fix} or a shorter --cutoff."
        )


def check_cutoff(cutoff: Any) -> None:
    """DistillError for what is no cutoff in Å."""
    check_number("cutoff", cutoff, 5.0, 100.0, "Å")


def check_hydrogen_mass(mass: Any) -> None:
    """DistillError for what is no mass in Da for a hydrogen; None is none."""
    if mass is not None:
        check_number("hydrogen_mass", mass, 1.0, 4.0, "Da")


def check_number(name: str, given: Any, least: float, most: float, unit: str) -> None:
    """DistillError for what is no number between two others."""
    if not is_number(given) or not least <= given <= most:
        raise DistillError(f"{name} is {given!r}; give a number of {unit}, {least:g} to {most:g}.")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's random numbers, which OpenMM's Modeller takes, are a seed's; after, as before."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def force_field(files: list[str], *more: Path) -> app.ForceField:
    """OpenMM's; DistillError for a file that is none."""
    try:
        return app.ForceField(*files, *map(str, more))
    except Exception as error:  # OpenMM's reader raises that itself
        raise DistillError(
            f"A force-field file cannot be read: {reason(error)}; check it."
        ) from error
