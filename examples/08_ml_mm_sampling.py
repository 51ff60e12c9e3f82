"""Torsions of a peptide by replica exchange or metadynamics: the student, in implicit solvent.

    python examples/08_ml_mm_sampling.py --method metadynamics --steps 500000
    python examples/08_ml_mm_sampling.py --method replicas --solvent gbn2 --steps 100000

Leaves phi.csv: the angle phi (degrees) and its free energy at 300 K (kJ/mol).
"""

import argparse
from pathlib import Path

import mdtraj
import numpy as np
import openmm
from openmm import app, unit

from distill_openmm import mixed

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--method", choices=("metadynamics", "replicas"), default="metadynamics")
parser.add_argument("--solvent", choices=("obc2", "gbn2"), default="obc2", help="OpenMM's models")
parser.add_argument("--steps", type=int, default=20000, help="of 1 fs, of each replica")
parser.add_argument("--out", default="phi.csv")
args = parser.parse_args()

pdb = app.PDBFile(str(Path(__file__).with_name("alanine_dipeptide.pdb")))
forcefield = app.ForceField("amber14-all.xml", f"implicit/{args.solvent}.xml")
amber = forcefield.createSystem(pdb.topology)
system = mixed(args.student, pdb.topology, amber, range(pdb.topology.getNumAtoms()))
PHI = (4, 6, 8, 14)  # C-N-CA-C
if args.method == "metadynamics":  # a hill of 1 kJ/mol every 100 steps, at first
    angle = openmm.CustomTorsionForce("theta")
    angle.addTorsion(*PHI)
    variable = app.BiasVariable(angle, -np.pi, np.pi, 0.35, True, 37)
    metadynamics = app.Metadynamics(system, [variable], 300, 5.0, 1.0, 100)
integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.001)
simulation = app.Simulation(pdb.topology, system, integrator, openmm.Platform.getPlatform("CPU"))
simulation.context.setPositions(pdb.positions)
simulation.minimizeEnergy(maxIterations=100)
simulation.context.setVelocitiesToTemperature(300)
if args.method == "metadynamics":
    metadynamics.step(simulation, args.steps)
    energy = np.array(metadynamics.getFreeEnergy()._value)[:-1]
else:
    states = [{"temperature": t * unit.kelvin} for t in np.geomspace(300, 500, 4)]
    sampler = app.ReplicaExchangeSampler(states, simulation, 100)
    frames = []
    for _ in range(args.steps // 100):
        sampler.simulate(1)
        cold = sampler.replicaConformation[sampler.replicaStateIndex.index(0)]  # it is at 300 K
        frames.append(cold.getPositions(asNumpy=True)._value)
    trajectory = mdtraj.Trajectory(np.array(frames), mdtraj.Topology.from_openmm(pdb.topology))
    angles = np.degrees(mdtraj.compute_dihedrals(trajectory, [PHI]).ravel())
    counts = np.bincount((np.rint(angles / 10).astype(int) + 18) % 36, minlength=36)
    energy = -0.0083145 * 300 * np.log(np.maximum(counts, 0.5))
table = np.stack([np.arange(-180, 180, 10), energy - energy.min()], axis=1)
np.savetxt(args.out, table, "%.2f", ",", header="phi,kj_per_mol", comments="")
print(f"lowest at phi = {table[table[:, 1].argmin(), 0]:.0f} degrees: {args.out}")
