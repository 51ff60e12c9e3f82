"""Mixed ML/MM with OpenMM-ML: alanine dipeptide by a student, in TIP3P water by Amber14.

    python examples/03_openmm_mixed.py --steps 5000 --out dipeptide

Leaves topology.pdb and trajectory.dcd in the output folder.
"""

import argparse
import sys
from pathlib import Path

import openmm
import torch
from openmm import app, unit
from openmmml import MLPotential

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--steps", type=int, default=2000, help="of 1 fs")
parser.add_argument("--out", type=Path, default=Path("openmm_mixed"))
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)  # a small molecule has too little work for two

# everything by Amber, as for any simulation of a peptide in water
pdb = app.PDBFile(str(Path(__file__).with_name("alanine_dipeptide.pdb")))
forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
model = app.Modeller(pdb.topology, pdb.positions)
model.addSolvent(forcefield, model="tip3p", boxSize=openmm.Vec3(2.4, 2.4, 2.4))
amber = forcefield.createSystem(
    model.topology,
    nonbondedMethod=app.PME,
    nonbondedCutoff=1.0 * unit.nanometer,
    constraints=app.HBonds,
)

# then the peptide's own energy by the student; the water sees Amber's charges
if args.student.endswith(".safetensors"):
    potential = MLPotential("distill", modelPath=args.student)
else:
    potential = MLPotential(f"distill-{args.student}")
peptide = [atom.index for atom in model.topology.atoms() if atom.residue.name != "HOH"]
system = potential.createMixedSystem(model.topology, amber, peptide)

integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.001)
simulation = app.Simulation(model.topology, system, integrator, openmm.Platform.getPlatform("CPU"))
simulation.context.setPositions(model.positions)
simulation.minimizeEnergy(maxIterations=100)
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin)
start = simulation.context.getState(positions=True).getPositions()
with (args.out / "topology.pdb").open("w") as file:
    app.PDBFile.writeFile(model.topology, start, file)

every = max(1, args.steps // 20)
columns = {"step": True, "potentialEnergy": True, "temperature": True, "speed": True}
simulation.reporters.append(app.DCDReporter(str(args.out / "trajectory.dcd"), every))
simulation.reporters.append(app.StateDataReporter(sys.stdout, every, **columns))
simulation.step(args.steps)
print(f"{len(peptide)} atoms by the student, {system.getNumParticles() - len(peptide)} by Amber14")
