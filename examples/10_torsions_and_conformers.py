"""A ranking of conformers and a torsion's profile, with ASE.

    python examples/10_torsions_and_conformers.py --torsion 1 3 4 5

Leaves conformers.xyz (the lowest first) and torsion.csv.
"""

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.constraints import FixInternals
from ase.optimize import LBFGS
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolTransforms

from distill_ase import StudentCalculator

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--student", default="tiny", help="a shipped name or a student file")
parser.add_argument("--smiles", default="CC(=O)Nc1ccc(O)cc1", help="default: paracetamol")
parser.add_argument("--torsion", type=int, nargs=4, help="four atoms, counted from 0")
parser.add_argument("--conformers", type=int, default=20)
parser.add_argument("--out", type=Path, default=Path("torsions"))
args, KJ = parser.parse_args(), units.kJ / units.mol
args.out.mkdir(parents=True, exist_ok=True)
mol = Chem.AddHs(Chem.MolFromSmiles(args.smiles))
AllChem.EmbedMultipleConfs(mol, args.conformers, randomSeed=1)
numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
found = [Atoms(numbers, one.GetPositions()) for one in mol.GetConformers()]
for atoms in found:
    atoms.calc = StudentCalculator(args.student)
    LBFGS(atoms, logfile=None).run(fmax=0.02, steps=500)
found.sort(key=lambda atoms: atoms.get_potential_energy())
energies = np.array([atoms.get_potential_energy() for atoms in found]) / KJ
new = np.flatnonzero(np.append(1, np.diff(energies)) > 0.05)  # not the same minimum again
weights = np.exp((energies[0] - energies[new]) / 2.494)  # at 300 K, without entropies
for energy, share in zip(energies[new] - energies[0], weights / weights.sum()):
    print(f"conformer at {energy:6.2f} kJ/mol, {100 * share:3.0f}%")
ase.io.write(args.out / "conformers.xyz", [found[k] for k in new])

turns = Chem.MolFromSmarts("*~[!$(*#*)]-!@[!$(*#*)]~*")  # a single bond outside of rings
args.torsion = args.torsion or Chem.RemoveHs(mol).GetSubstructMatch(turns)
if not args.torsion:
    parser.exit(0, "No bond turns: no profile.\n")
turned, conformer, profile = found[0], mol.GetConformer(), {}  # begins at the lowest
angles = turned.get_dihedral(*args.torsion) + np.linspace(0, 360, 24, endpoint=False)
for angle in [*angles, *angles[::-1]]:  # there and back, for what lags behind
    turned.set_constraint()
    conformer.SetPositions(turned.positions)
    rdMolTransforms.SetDihedralDeg(conformer, *args.torsion, angle)  # all on one side
    turned.positions = conformer.GetPositions()
    turned.set_constraint(FixInternals(dihedrals_deg=[[angle, args.torsion]]))
    LBFGS(turned, logfile=None).run(fmax=0.03, steps=200)
    energy = turned.get_potential_energy() / KJ - energies[0]
    profile[angle % 360] = min(energy, profile.get(angle % 360, energy))
np.savetxt(args.out / "torsion.csv", sorted(profile.items()), "%.2f", ",", header="degrees,kJ/mol")
print(f"atoms {args.torsion}: up to {max(profile.values()):.1f} kJ/mol")
