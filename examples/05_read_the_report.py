"""Read what `distill run` leaves: the errors, the MD, the trajectory.

distill run "CC(=O)Nc1ccc(O)cc1" -o paracetamol
python examples/05_read_the_report.py paracetamol
"""

import argparse
import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt
import mdtraj

parser = argparse.ArgumentParser(description="Summary of a run's folder.")
parser.add_argument("folder", type=Path)
parser.add_argument("--plot", type=Path, default=Path("summary.png"))
arguments = parser.parse_args()

# how far the student is off, on frames it was not trained on
report = json.loads((arguments.folder / "report.json").read_text())
print(f"{report['n_frames']} frames of {', '.join(report['per_molecule'])}")
print(f"force RMSE     {report['force_rmse']:.4f} eV/Å (R2 {report['force_r2']:.5f})")
print(f"force angle    {report['angular_error_deg']:.2f}°")
print(f"energy MAE     {1000 * report['energy_mae_per_atom']:.2f} meV/atom")
for element, errors in report["per_element"].items():
    print(f"  {element:2} force RMSE {errors['rmse']:.4f} eV/Å")

# how the MD went: one row a frame
with (arguments.folder / "md.csv").open() as file:
    rows = list(csv.DictReader(file))
time = [float(row["time_ps"]) for row in rows]
temperature = [float(row["temperature_k"]) for row in rows]
print(f"MD of {time[-1]:.1f} ps at {report['md']['ns_per_day']:.1f} ns/day")

# where the molecule went
trajectory = mdtraj.load(
    str(arguments.folder / "trajectory.dcd"), top=str(arguments.folder / "topology.pdb")
)
heavy = trajectory.topology.select("element != H")
rmsd = 10.0 * mdtraj.rmsd(trajectory, trajectory, atom_indices=heavy)  # nm to Å
bonds = [[a.index, b.index] for a, b in trajectory.topology.bonds]
lengths = 10.0 * mdtraj.compute_distances(trajectory, bonds)
print(f"longest bond   {lengths.max():.2f} Å, RMSD from the start up to {rmsd.max():.2f} Å")

figure, (above, below) = plt.subplots(2, sharex=True, layout="constrained")
above.plot(time, temperature)
above.axhline(report["md"]["temperature_k"], color="black", linestyle=":")
above.set_ylabel("temperature (K)")
below.plot(time[: len(rmsd)], rmsd, color="C1")
below.set(xlabel="time (ps)", ylabel="RMSD of heavy atoms (Å)")
figure.savefig(arguments.plot, dpi=150)
print(f"plotted to {arguments.plot}")
