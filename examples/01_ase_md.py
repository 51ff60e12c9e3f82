"""Molecular dynamics of a drug with ASE.

    python examples/01_ase_md.py
    python examples/01_ase_md.py --smiles "CC(=O)Oc1ccccc1C(=O)O" --steps 5000 --out aspirin

Leaves trajectory.traj in the output folder, with energies and forces (`ase convert` makes XYZ).
"""

import argparse
from pathlib import Path

import torch
from ase import Atoms, units
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import LBFGS
from rdkit import Chem
from rdkit.Chem import AllChem

from distill_ase import StudentCalculator

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--smiles", default="CC(=O)Nc1ccc(O)cc1", help="default: paracetamol")
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--steps", type=int, default=2000, help="of 1 fs")
parser.add_argument("--out", type=Path, default=Path("ase_md"))
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)  # a small molecule has too little work for two

# RDKit makes a first geometry
mol = Chem.AddHs(Chem.MolFromSmiles(args.smiles))
AllChem.EmbedMolecule(mol, randomSeed=1)
numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
atoms = Atoms(numbers, mol.GetConformer().GetPositions())

# the student is an ASE calculator like any other
atoms.calc = StudentCalculator(args.student)
LBFGS(atoms, logfile=None).run(fmax=0.05, steps=200)
print(f"{atoms.get_chemical_formula()}: {atoms.get_potential_energy():.3f} eV at the minimum")

thermalize_momenta(atoms, temperature_K=300)
dynamics = Langevin(atoms, 1.0 * units.fs, temperature_K=300, friction=0.01 / units.fs, fixcm=False)
interval = max(1, args.steps // 50)
trajectory = Trajectory(args.out / "trajectory.traj", "w", atoms)
dynamics.attach(trajectory.write, interval=interval)


def report() -> None:
    """One line of energy and temperature."""
    print(
        f"{dynamics.nsteps:7d} fs   {atoms.get_potential_energy():12.4f} eV"
        f"   {atoms.get_temperature():6.1f} K"
    )


dynamics.attach(report, interval=interval)
dynamics.run(args.steps)
print(f"Look at it: ase gui {args.out / 'trajectory.traj'}")
