"""Molecular dynamics of a drug with OpenMM: Langevin, reporters, DCD and a plot of temperature.

    python examples/02_openmm_md.py --steps 20000 --out paracetamol_md

Leaves topology.pdb, trajectory.dcd, md.csv and temperature.png in the output folder.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import openmm
import torch
from openmm import app, unit
from rdkit import Chem
from rdkit.Chem import AllChem

from distill_openmm import create_force

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--smiles", default="CC(=O)Nc1ccc(O)cc1", help="default: paracetamol")
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--steps", type=int, default=5000, help="of 1 fs")
parser.add_argument("--out", type=Path, default=Path("openmm_md"))
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)  # a small molecule has too little work for two

mol = Chem.AddHs(Chem.MolFromSmiles(args.smiles))
AllChem.EmbedMolecule(mol, randomSeed=1)
Chem.MolToPDBFile(mol, str(args.out / "topology.pdb"))
pdb = app.PDBFile(str(args.out / "topology.pdb"))
# the student is an OpenMM force like any other
system = openmm.System()
for atom in pdb.topology.atoms():
    system.addParticle(atom.element.mass)
system.addForce(create_force(args.student, pdb.topology))

integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.001)
# OpenMM has nothing to do here but to ask the student: its plainest platform is the fastest
platform = openmm.Platform.getPlatform("Reference")
simulation = app.Simulation(pdb.topology, system, integrator, platform)
simulation.context.setPositions(pdb.positions)
simulation.minimizeEnergy(maxIterations=200)
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin)
every = max(1, args.steps // 100)
table = args.out / "md.csv"
columns = {"time": True, "temperature": True, "speed": True}
simulation.reporters.append(app.DCDReporter(str(args.out / "trajectory.dcd"), every))
simulation.reporters.append(app.StateDataReporter(str(table), every, **columns))
simulation.step(args.steps)

time, temperature, speed = np.atleast_2d(np.genfromtxt(table, delimiter=",")[1:]).T
plt.figure(figsize=(5, 3), layout="constrained")
plt.plot(time, temperature)
plt.xlabel("time / ps")
plt.ylabel("temperature / K")
plt.savefig(args.out / "temperature.png", dpi=150)
print(f"{temperature.mean():.0f} K on average, {speed[-1]:.2f} ns/day; files in {args.out}")
