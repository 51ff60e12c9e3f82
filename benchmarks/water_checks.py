"""Is ML/MM in water right? Density, structure, temperatures, ensembles of `distill md`.

    distill md tiny "CC(=O)Nc1ccc(O)cc1" --solvent water --ensemble npt --ps 1000 -o wet300
    distill md tiny "CC(=O)Nc1ccc(O)cc1" --solvent water --ensemble npt --ps 1000 \\
        --temperature 304 -o wet304
    python benchmarks/water_checks.py wet300 wet304 --control 200 -o water_checks.json

Of each folder: the mean density and its standard error (correlations counted), the first peak of
oxygens around oxygens, the mean temperatures of the molecule and of the rest, and how far mean and
width of the kinetic energy's distribution are from the canonical ones, in standard errors
(physical_validation; Merz and Shirts, PLoS ONE 13, e0202764, 2018). Of two NPT folders: whether
energies and volumes at the two temperatures have the ratio of probabilities that they must have;
numbers are differences from it in standard errors, for temperature and pressure. ``--control PS``
also runs the first folder's box by the force field alone. The larger a system, the nearer the two
temperatures have to be: for one NPT folder the script says how near (4 K for 3,000 atoms, about).

Published: TIP3P has 0.98 g/cm3 at 298 K and 1 bar (Vega and Abascal, Phys. Chem. Chem. Phys. 13,
19663, 2011; 0.982 in Jorgensen et al., J. Chem. Phys. 79, 926, 1983), and hardly a second peak.
"""

import argparse
import itertools
import json
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import physical_validation
from openmm import app, unit
from pymbar.timeseries import statistical_inefficiency

from distill.evaluate.report import provenance
from distill_openmm.keep import read_prepared
from distill_openmm.prepared import Prepared
from distill_openmm.summary import columns

SKIPPED = 0.1
"""Share of the frames at the beginning that is left out."""


def mean(values: np.ndarray) -> tuple[float, float]:
    """And its standard error, with correlations counted."""
    independent = len(values) / max(1.0, statistical_inefficiency(values))
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(independent))


def peaks(trajectory: mdtraj.Trajectory) -> dict:
    """Oxygen around oxygen of the waters: place (Å) and height of the first peak, and what is
    highest and lowest beyond it."""
    oxygens = [
        residue.atom(0).index
        for residue in trajectory.topology.residues
        if sorted(a.element.symbol for a in residue.atoms if a.element.mass) == ["H", "H", "O"]
    ]
    assert all(trajectory.topology.atom(k).element.symbol == "O" for k in oxygens)
    pairs = np.array(list(itertools.combinations(oxygens, 2)))
    r, g = mdtraj.compute_rdf(trajectory, pairs, r_range=(0.2, 0.8), bin_width=0.005)
    first = int(g.argmax())
    return {
        "first_peak_angstrom": 10 * float(r[first]),
        "first_peak_height": float(g[first]),
        "minimum_after_it": float(g[first : np.searchsorted(r, 0.4)].min()),
        "highest_from_4_to_6_angstrom": float(g[(r > 0.4) & (r < 0.6)].max()),
    }


def freedom(prepared: Prepared) -> physical_validation.data.SystemData:
    """Degrees of freedom: constraints among the student's atoms are none."""
    chosen, system = set(prepared.atoms), prepared.system
    pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
    left = sum(not (i in chosen and j in chosen) for i, j in pairs)
    still = any(isinstance(f, openmm.CMMotionRemover) for f in system.getForces())
    sites = sum(system.getParticleMass(k)._value == 0 for k in range(system.getNumParticles()))
    return physical_validation.data.SystemData(
        natoms=system.getNumParticles() - sites,
        nconstraints=left,
        ndof_reduction_tra=3 if still else 0,
        ndof_reduction_rot=0,
    )


def for_validation(
    table: dict[str, np.ndarray], prepared: Prepared, md: dict
) -> physical_validation.data.SimulationData:
    """What physical_validation takes."""
    system = freedom(prepared)
    settings = md["asked"]["settings"]
    npt = settings["ensemble"] == "npt"
    kinetic, potential = table["kinetic_kj_per_mol"], table["potential_kj_per_mol"]
    return physical_validation.data.SimulationData(
        units=physical_validation.data.UnitData.units("GROMACS"),
        dt=md["timestep_fs"] / 1000,
        system=system,
        ensemble=physical_validation.data.EnsembleData(
            "NPT" if npt else "NVT",
            natoms=system.natoms,
            temperature=settings["temperature"],
            pressure=settings["pressure"] if npt else None,
            volume=None if npt else float(table["volume_nm3"][0]),
        ),
        observables=physical_validation.data.ObservableData(
            kinetic_energy=kinetic,
            potential_energy=potential,
            total_energy=kinetic + potential,
            volume=table["volume_nm3"],
        ),
    )


def of_folder(folder: Path) -> tuple[dict, physical_validation.data.SimulationData]:
    """All of one run."""
    md = json.loads((folder / "md.json").read_text())
    prepared = read_prepared(folder)
    table = columns(folder / "md.csv")
    begin = int(SKIPPED * len(table["step"]))
    table = {name: values[begin:] for name, values in table.items()}
    trajectory = mdtraj.load(str(folder / "trajectory.dcd"), top=str(folder / "topology.pdb"))
    data = for_validation(table, prepared, md)
    found = {
        "student": md["student"],
        "picoseconds": md["picoseconds"],
        "timestep_fs": md["timestep_fs"],
        "frames": len(table["step"]),
        "atoms": md["atoms"],
        "asked_temperature_k": md["temperature_k"],
        **peaks(trajectory[begin:]),
    }
    for name in (
        "density_g_per_cm3", "temperature_k", "ligand_temperature_k", "rest_temperature_k",
        "uncertainty_ev_per_angstrom",
    ):  # fmt: skip
        if np.isfinite(table[name]).all():
            found[name], found[name + "_error"] = mean(table[name])
    canonical = physical_validation.kinetic_energy.distribution(data, strict=False, verbosity=0)
    found["kinetic_energy_mean_and_width_in_errors"] = [float(x) for x in canonical]
    return found, data


def control(prepared: Prepared, ps: float, temperature: float, pressure: float, seed: int) -> dict:
    """Density and structure of the same box by the force field alone (CPU platform)."""
    system = openmm.XmlSerializer.clone(prepared.system)
    barostat = openmm.MonteCarloBarostat(pressure * unit.bar, temperature * unit.kelvin, 25)
    barostat.setRandomNumberSeed(seed)
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(temperature, 1.0, 0.002)
    integrator.setRandomNumberSeed(seed)
    topology = prepared.topology
    made = app.Simulation(topology, system, integrator, openmm.Platform.getPlatform("CPU"))
    made.context.setPositions(prepared.positions * 0.1)
    made.minimizeEnergy(maxIterations=200)
    made.context.setVelocitiesToTemperature(temperature, seed)
    made.step(round(0.2 * ps * 500))
    mass = sum(system.getParticleMass(k)._value for k in range(system.getNumParticles()))
    densities, frames, cells = [], [], []
    for _ in range(max(20, round(2 * ps))):
        made.step(250)
        state = made.context.getState(positions=True)
        densities.append(mass * 1.66053907e-3 / state.getPeriodicBoxVolume()._value)
        frames.append(state.getPositions(asNumpy=True)._value)
        cells.append(state.getPeriodicBoxVectors(asNumpy=True)._value)
    trajectory = mdtraj.Trajectory(np.array(frames), mdtraj.Topology.from_openmm(topology))
    trajectory.unitcell_vectors = np.array(cells)
    density, error = mean(np.array(densities))
    return {
        "student": "none: the force field alone",
        "picoseconds": ps,
        "timestep_fs": 2.0,
        "frames": len(frames),
        "atoms": system.getNumParticles(),
        "asked_temperature_k": temperature,
        "density_g_per_cm3": density,
        "density_g_per_cm3_error": error,
        **peaks(trajectory),
    }


def table(result: dict) -> str:
    """Markdown, a column a run."""
    rows = {
        "student": lambda f: f["student"],
        "atoms": lambda f: f"{f['atoms']:,}",
        "ps, after equilibration": lambda f: f"{f['picoseconds']:g}",
        "step (fs)": lambda f: f"{f['timestep_fs']:g}",
        "density (g/cm3)": lambda f: with_error(f, "density_g_per_cm3", 4),
        "O-O first peak (Å), height": lambda f: (
            f"{f['first_peak_angstrom']:.2f}, {f['first_peak_height']:.2f}"
        ),
        "minimum after it, highest from 4 to 6 Å": lambda f: (
            f"{f['minimum_after_it']:.2f}, {f['highest_from_4_to_6_angstrom']:.2f}"
        ),
        "asked temperature (K)": lambda f: f"{f['asked_temperature_k']:g}",
        "temperature of the molecule (K)": lambda f: with_error(f, "ligand_temperature_k", 1),
        "of the rest (K)": lambda f: with_error(f, "rest_temperature_k", 1),
        "kinetic energy: mean and width off by (standard errors)": lambda f: ", ".join(
            f"{x:.1f}" for x in f.get("kinetic_energy_mean_and_width_in_errors", ())
        ),
    }
    names = list(result["runs"])
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for row, cell in rows.items():
        lines.append(f"| {row} | " + " | ".join(cell(result["runs"][n]) for n in names) + " |")
    npt = result.get("npt", {})
    if "off_in_errors" in npt:
        off = ", ".join(f"{x:.1f}" for x in npt["off_in_errors"])
        lines += ["", f"NPT, {' and '.join(npt['folders'])}: {off} standard errors off."]
    elif npt:
        kelvin = npt["wanted_interval"]["dT"]
        lines += ["", f"NPT: give two folders, {kelvin:.1f} K apart. {npt.get('error', '')}"]
    return "\n".join(lines)


def with_error(found: dict, name: str, digits: int) -> str:
    """Mean and standard error."""
    if name not in found:
        return ""
    return f"{found[name]:.{digits}f} ± {found[name + '_error']:.{digits}f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="of `distill md`")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--control", type=float, metavar="PS", help="of the force field alone")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result: dict = {"runs": {}, "openmm": openmm.version.version, **provenance()}

    def keep() -> None:
        if arguments.out:
            arguments.out.write_text(json.dumps(result, indent=2) + "\n")

    data = {}
    for folder in arguments.folders:
        result["runs"][folder.name], data[folder.name] = of_folder(folder)
        keep()
    pair = [name for name, d in data.items() if d.ensemble.ensemble == "NPT"][:2]
    if pair:
        wanted = physical_validation.ensemble.estimate_interval(data[pair[0]], verbosity=0)
        result["npt"] = {"folders": pair, "wanted_interval": wanted}
    if len(pair) == 2:
        try:
            off = physical_validation.ensemble.check(*(data[n] for n in pair), verbosity=0)
            result["npt"]["off_in_errors"] = [float(x) for x in off]
        except physical_validation.util.error.InputError as error:
            result["npt"]["error"] = str(error)
        keep()
    if arguments.control:
        first = arguments.folders[0]
        asked = json.loads((first / "md.json").read_text())["asked"]["settings"]
        result["runs"]["control"] = control(
            read_prepared(first), arguments.control, asked["temperature"], asked["pressure"] or 1.0,
            arguments.seed,
        )  # fmt: skip
        keep()
    print(table(result))


if __name__ == "__main__":
    main()
