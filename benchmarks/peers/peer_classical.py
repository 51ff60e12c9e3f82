"""Classical force fields, the floor: MMFF94 in RDKit, and an OpenMM System of the same terms.

Variants: ``mmff`` (RDKit), ``reference`` and ``cpu`` (OpenMM's platforms, energy and forces into
Python), ``reference-step`` and ``cpu-step`` (one step of MD, nothing leaves OpenMM).
"""

import math
from typing import Any

import common
import numpy as np

KCAL = 4.184  # kJ/mol
# MMFF94's own constants: kcal/mol from mdyn/Å and from mdyn Å/rad^2 with degrees
BOND, ANGLE = 143.9325, 0.043844


def read() -> tuple[Any, Any]:
    """RDKit's molecule and its MMFF94 parameters."""
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers

    molecule = Chem.MolFromMolFile(str(common.MOLECULE), removeHs=False)
    return molecule, rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)


def build(variant: str, threads: int) -> common.Potential:
    """RDKit's force field or an OpenMM Context."""
    if variant == "mmff":
        return mmff()
    return openmm(*variant.partition("-")[::2], threads)


def mmff() -> common.Potential:
    """MMFF94 as RDKit computes it."""
    from rdkit.Chem import rdForceFieldHelpers

    molecule, properties = read()
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)

    def call(positions: common.Array) -> tuple[float, common.Array]:
        flat = positions.ravel().tolist()
        # CalcGrad alone uses the distances of the last CalcEnergy
        energy = field.CalcEnergy(flat)
        return energy, -np.array(field.CalcGrad(flat)).reshape(-1, 3)

    return common.Potential(
        call,
        through="RDKit",
        packages=("rdkit",),
        model="MMFF94",
        note="float64; RDKit uses one thread",
    )


def openmm(platform: str, kind: str, threads: int) -> common.Potential:
    """Bonds, angles, torsions and all pairs, without a cutoff, in vacuum."""
    import openmm as mm

    molecule, properties = read()
    integrator = mm.VerletIntegrator(0.0005)
    name = {"reference": "Reference", "cpu": "CPU"}[platform]
    arguments = [mm.Platform.getPlatform(name)]
    if platform == "cpu":
        arguments.append({"Threads": str(threads)})
    context = mm.Context(system(molecule, properties), integrator, *arguments)
    context.setPositions(common.molecule()[1] * 0.1)
    mm.LocalEnergyMinimizer.minimize(context)

    def call(positions: common.Array) -> tuple[float, common.Array]:
        context.setPositions(positions * 0.1)
        state = context.getState(energy=True, forces=True)
        return (
            state.getPotentialEnergy()._value,
            state.getForces(asNumpy=True)._value,
        )

    def step(positions: common.Array, kept: Any = context) -> tuple[float, common.Array]:
        # an integrator does not keep its context alive
        integrator.step(1)
        return 0.0, np.ones_like(positions)

    precision = "float64" if platform == "reference" else "float32"
    threading = "one thread" if platform == "reference" else "its own threads"
    note = f"{precision}, {threading}; parameters from MMFF94, but not MMFF94: only for timing"
    if kind == "step":
        note += "; a Verlet step of 0.5 fs, energies not read"
    return common.Potential(
        step if kind == "step" else call,
        through=f"OpenMM, {name} platform",
        packages=("openmm", "rdkit"),
        model="harmonic bonds and angles, torsions, Lennard-Jones and charges",
        note=note,
    )


def system(molecule: Any, properties: Any) -> Any:
    """An OpenMM System with MMFF94's numbers in the terms that OpenMM is fastest at."""
    import openmm as mm

    made = mm.System()
    for atom in molecule.GetAtoms():
        made.addParticle(atom.GetMass())
    neighbours = [[n.GetIdx() for n in atom.GetNeighbors()] for atom in molecule.GetAtoms()]

    bonds = mm.HarmonicBondForce()
    pairs = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()]
    for i, j in pairs:
        _, k, length = properties.GetMMFFBondStretchParams(molecule, i, j)
        bonds.addBond(i, j, length * 0.1, BOND * k * KCAL * 100)
    angles = mm.HarmonicAngleForce()
    for j, around in enumerate(neighbours):
        for a, i in enumerate(around):
            for k in around[a + 1 :]:
                _, constant, degrees = properties.GetMMFFAngleBendParams(molecule, i, j, k)
                constant *= ANGLE * math.degrees(1) ** 2 * KCAL
                angles.addAngle(i, j, k, math.radians(degrees), constant)
    torsions = mm.PeriodicTorsionForce()
    for j, k in pairs:
        for i in neighbours[j]:
            for m in neighbours[k]:
                if len({i, j, k, m}) < 4:
                    continue
                found = properties.GetMMFFTorsionParams(molecule, i, j, k, m)
                for n, height in enumerate(found[1:] if found else (), start=1):
                    phase = math.pi if n == 2 else 0.0
                    if height:
                        torsions.addTorsion(i, j, k, m, n, phase, 0.5 * height * KCAL)
    nonbonded = mm.NonbondedForce()
    nonbonded.setNonbondedMethod(mm.NonbondedForce.NoCutoff)
    for i in range(molecule.GetNumAtoms()):
        radius, depth = properties.GetMMFFVdWParams(i, i)[:2]
        charge = properties.GetMMFFPartialCharge(i)
        nonbonded.addParticle(charge, radius * 0.1 / 2 ** (1 / 6), depth * KCAL)
    nonbonded.createExceptionsFromBonds(pairs, 0.8333, 0.5)
    for force in (bonds, angles, torsions, nonbonded):
        made.addForce(force)
    return made


if __name__ == "__main__":
    common.main(build)
