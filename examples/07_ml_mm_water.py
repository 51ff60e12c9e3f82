"""ML/MM in water: restraints, heavy hydrogens, multiple time steps, energies in parts.

    python examples/07_ml_mm_water.py --steps 50000 --out wet

The student has alanine dipeptide; water is TIP3P. Leaves topology.pdb and trajectory.dcd.
"""

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from distill_openmm import mixed
from distill_openmm.mixed import BONDED, NONBONDED, STUDENT

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--steps", type=int, default=2000, help="of 2 fs")
parser.add_argument("--out", type=Path, default=Path("ml_mm_water"))
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
pdb = app.PDBFile(str(Path(__file__).with_name("alanine_dipeptide.pdb")))
forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
model = app.Modeller(pdb.topology, pdb.positions)
model.addSolvent(forcefield, model="tip3p", boxSize=openmm.Vec3(2.4, 2.4, 2.4))
amber = forcefield.createSystem(model.topology, nonbondedMethod=app.PME, constraints=app.HBonds)
peptide = range(pdb.topology.getNumAtoms())  # they come first
system = mixed(args.student, model.topology, amber, peptide, hydrogen_mass=3.0)

# restraints of the heavy atoms, of a strength k that can be changed; then the pressure
restraint = openmm.CustomExternalForce("k*periodicdistance(x, y, z, x0, y0, z0)^2")
restraint.addGlobalParameter("k", 1000.0)  # kJ/mol/nm^2
for name in ("x0", "y0", "z0"):
    restraint.addPerParticleParameter(name)
for atom in model.topology.atoms():
    if atom.index in peptide and atom.element.symbol != "H":
        restraint.addParticle(atom.index, model.positions[atom.index].value_in_unit(unit.nanometer))
system.addForce(restraint)
system.addForce(openmm.MonteCarloBarostat(1 * unit.bar, 300 * unit.kelvin))

# water's forces, which cost most, every 2 fs; the student's and all bonds' every 1 fs
groups = [(NONBONDED, 1), (BONDED, 2), (STUDENT, 2)]
integrator = openmm.MTSLangevinIntegrator(300, 1.0, 0.002, groups)  # K, 1/ps, ps
simulation = app.Simulation(model.topology, system, integrator, openmm.Platform.getPlatform("CPU"))
simulation.context.setPositions(model.positions)
simulation.minimizeEnergy(maxIterations=100)
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin)
every = max(1, args.steps // 20)
for k in np.linspace(1000.0, 0.0, 5):
    simulation.context.setParameter("k", k)
    simulation.step(every)
with (args.out / "topology.pdb").open("w") as file:
    state = simulation.context.getState(positions=True)
    app.PDBFile.writeFile(model.topology, state.getPositions(), file)
simulation.reporters.append(app.DCDReporter(str(args.out / "trajectory.dcd"), every))
simulation.step(args.steps)
for name, group in (("student", STUDENT), ("pairs", NONBONDED), ("bonds", BONDED)):
    print(name, simulation.context.getState(energy=True, groups={group}).getPotentialEnergy())
