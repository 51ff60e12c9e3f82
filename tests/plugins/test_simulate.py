"""The runner of `distill md`: what it leaves, and that a stop changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app, unit

from distill import load_student
from distill.data.explore import first_geometries
from distill.data.molecules import from_smiles
from distill.errors import DistillError
from distill.md import MDSettings
from distill_ase import StudentCalculator
from distill_openmm.contexts import platform_for, seed_of
from distill_openmm.groups import groups
from distill_openmm.keep import packed, read_prepared, write_prepared
from distill_openmm.prepare import in_vacuum
from distill_openmm.prepared import Prepared
from distill_openmm.simulate import Progress, Simulation
from distill_openmm.summary import columns, summary
from distill_openmm.wrap import Wrap, whole

METHANOL = from_smiles("CO")
START = first_geometries(METHANOL, 1, 0)[0]


def in_a_box(waters: int = 7) -> Prepared:
    """Methanol among TIP3P waters on a grid, without charges on the methanol."""
    topology, positions = app.Topology(), []
    chain = topology.addChain()
    residue = topology.addResidue("LIG", chain)
    own = [
        topology.addAtom(f"A{k}", app.Element.getByAtomicNumber(int(z)), residue)
        for k, z in enumerate(METHANOL.numbers)
    ]
    for bond in METHANOL.rdmol.GetBonds():
        topology.addBond(own[bond.GetBeginAtomIdx()], own[bond.GetEndAtomIdx()])
    positions += [*START]
    water = np.array([[0.0, 0, 0], [0.9572, 0, 0], [-0.24, 0.927, 0]])
    centres = [
        (i, j, k) for i in range(6) for j in range(6) for k in range(6) if (i, j, k) != (0, 0, 0)
    ]
    for i, j, k in centres[: waters**3]:
        residue = topology.addResidue("HOH", chain)
        atoms = [
            topology.addAtom(name, app.Element.getBySymbol(name[0]), residue)
            for name in ("O", "H1", "H2")
        ]
        topology.addBond(atoms[0], atoms[1])
        topology.addBond(atoms[0], atoms[2])
        positions += [*(water + 3.2 * np.array([i, j, k]))]
    box = 19.2 * np.eye(3)
    topology.setPeriodicBoxVectors(box * unit.angstrom)
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(0.1 * box))
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.PME)
    force.setCutoffDistance(0.9)
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
        if atom.residue.name == "LIG":
            force.addParticle(0.0, 0.3, 0.2)
        elif atom.name == "O":
            force.addParticle(-0.834, 0.315061, 0.6364)
        else:
            force.addParticle(0.417, 1.0, 0.0)
    for i in range(6):
        for j in range(i):
            force.addException(i, j, 0.0, 0.3, 0.0)
    for first in range(6, len(positions), 3):
        for i, j, length in ((0, 1, 0.09572), (0, 2, 0.09572), (1, 2, 0.15139)):
            system.addConstraint(first + i, first + j, length)
            force.addException(first + i, first + j, 0.0, 1.0, 0.0)
    system.addForce(force)
    system.addForce(openmm.CMMotionRemover())
    return Prepared(topology, system, np.array(positions), list(range(6)), box, 0)


def settings(**given: object) -> MDSettings:
    usual = {"ps": 0.4, "every": 0.1, "timestep": 1.0, "equilibrate": 0.1}
    return MDSettings(**{**usual, **given})


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("trajectory.dcd", "md.csv")}


def simulate(folder: Path, prepared: Prepared, asked: MDSettings) -> dict:
    folder.mkdir(exist_ok=True)
    return Simulation(load_student("ultra-tiny"), prepared, asked, folder).run()


def test_a_stop_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after each chunk, in another process' stead with a student and a System made anew."""
    monkeypatch.setattr("distill.md.settings.CHUNK", 100)
    prepared = in_vacuum(METHANOL, START)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = simulate(whole, prepared, settings(ps=0.5))
    assert result["steps"] == 500 and result["picoseconds"] == 0.5
    for ps in (0.1, 0.2, 0.35, 0.5):
        simulate(parts, in_vacuum(METHANOL, START), settings(ps=ps))
    assert files(whole) == files(parts)
    again = tmp_path / "again"
    simulate(again, prepared, settings(ps=0.5, seed=1))
    assert files(whole) != files(again)


def test_a_longer_run_does_a_partial_chunk_again(tmp_path: Path) -> None:
    """A run that ended within a chunk goes on from the checkpoint before that."""
    prepared = in_vacuum(METHANOL, START)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    simulate(whole, prepared, settings(ps=2.3))
    for ps in (0.3, 1.2, 2.3):
        simulate(parts, prepared, settings(ps=ps))
        (parts / "topology.pdb").unlink()
    simulate(parts, prepared, settings(ps=2.3))
    assert mdtraj.load(str(parts / "topology.pdb")).n_atoms == 6
    assert files(whole) == files(parts)
    assert summary(parts / "md.csv")["frames"] == 23


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_a_kill_changes_no_bit(ensemble: str, tmp_path: Path) -> None:
    """kill -9 of a process at work in a box of water; then another goes on."""
    write_prepared(tmp_path, in_a_box())
    script = (
        "import sys; from pathlib import Path\n"
        "from distill import load_student\n"
        "from distill.md import MDSettings\n"
        "from distill_openmm.keep import read_prepared\n"
        "from distill_openmm.simulate import Simulation\n"
        "here, out = Path(sys.argv[1]), Path(sys.argv[2]); out.mkdir(exist_ok=True)\n"
        "asked = MDSettings(ps=1.0, every=0.1, timestep=1.0, equilibrate=0.2, "
        f"ensemble='{ensemble}', platform='CPU')\n"
        "import distill.md.settings as s; s.CHUNK = 200\n"
        "Simulation(load_student('ultra-tiny'), read_prepared(here), asked, out).run()\n"
    )

    def start(out: Path) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(out)])

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start(whole).wait() == 0
    for wanted in (2, 6):
        process = start(parts)
        table = parts / "md.csv"
        while process.poll() is None and not (
            table.is_file() and table.read_text().count("\n") > wanted
        ):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert start(parts).wait() == 0
    assert files(whole) == files(parts)


def test_what_a_box_leaves(tmp_path: Path) -> None:
    """md.csv's numbers against the trajectory's; the ligand in the middle, molecules whole."""
    prepared = in_a_box()
    simulate(tmp_path, prepared, settings(ensemble="npt", ps=0.2, platform="CPU"))
    table = columns(tmp_path / "md.csv")
    trajectory = mdtraj.load(tmp_path / "trajectory.dcd", top=str(tmp_path / "topology.pdb"))
    assert trajectory.n_frames == 2 == summary(tmp_path / "md.csv")["frames"]
    np.testing.assert_allclose(table["volume_nm3"], trajectory.unitcell_volumes, rtol=1e-5)
    np.testing.assert_allclose(
        table["density_g_per_cm3"], mdtraj.density(trajectory) / 1000, rtol=1e-3
    )
    middle = trajectory.unitcell_vectors.sum(1) / 2
    np.testing.assert_allclose(trajectory.xyz[:, :6].mean(1), middle, atol=1e-3)
    bonds = [[a.index, b.index] for a, b in trajectory.topology.bonds]
    assert len(bonds) > 300
    assert mdtraj.compute_distances(trajectory, bonds, periodic=False).max() < 0.2
    # the kinetic energy is the groups' together
    system = Simulation(load_student("ultra-tiny"), prepared, settings(), tmp_path).contexts.system
    others = range(6, prepared.topology.getNumAtoms())
    own, rest = (group.freedom for group in groups(system, range(6), others))
    kinetic = (
        0.5
        * 8.31446e-3
        * (own * table["ligand_temperature_k"] + rest * table["rest_temperature_k"])
    )
    np.testing.assert_allclose(kinetic, table["kinetic_kj_per_mol"], rtol=1e-4)
    # 3 N, less three for each rigid water, less the centre of mass
    assert own + rest == pytest.approx(3 * 6 + 6 * 215 - 3)


def test_a_minimization_tells_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the display all along, in the log now and then and at its end; energies go down to that
    of OpenMM's State."""
    monkeypatch.setattr("distill_openmm.minimize.SHOWN", 0.0)
    monkeypatch.setattr("distill_openmm.minimize.LOGGED", 1e9)
    lines, shown = [], []
    progress = Progress(lines.append, lambda phase, share, speed: shown.append(phase))
    simulation = Simulation(
        load_student("ultra-tiny"), in_a_box(3), settings(platform="CPU"), tmp_path, progress
    )
    moment = simulation.start()
    context, _ = simulation.contexts.make(moment, settings().phases()[0])
    energy = context.getState(energy=True).getPotentialEnergy()._value
    assert lines[0] == "Minimization." and len(lines) == 3
    around = [t for t in shown if t.startswith("Minimization around the student's atoms: ")]
    assert len(around) > 20 and lines[1] == f"{around[-1]}."
    assert lines[2].startswith("Minimization: ") and lines[2] == f"{shown[-1]}."
    told = [float(t.split(", ", 1)[1].removesuffix(" kJ/mol").replace(",", "")) for t in around]
    assert told[-1] < told[0]
    last = float(shown[-1].split(", ", 1)[1].removesuffix(" kJ/mol").replace(",", ""))
    assert last == pytest.approx(energy, abs=3.0)


def test_a_setup_comes_back_in_every_bit(tmp_path: Path) -> None:
    before = in_a_box()
    write_prepared(tmp_path, before)
    after = read_prepared(tmp_path)
    assert packed(before.topology) == packed(after.topology)
    assert np.array_equal(before.positions, after.positions)
    assert np.array_equal(before.box, after.box)
    assert (before.atoms, before.charge, before.notes) == (after.atoms, after.charge, after.notes)
    xml = openmm.XmlSerializer.serialize
    assert xml(before.system) == xml(after.system)
    heavy = in_vacuum(from_smiles("[2H]O[13CH3]"), np.zeros((6, 3)))
    write_prepared(tmp_path / "heavy", heavy)
    masses = [a.element.mass._value for a in read_prepared(tmp_path / "heavy").topology.atoms()]
    assert masses == [a.element.mass._value for a in heavy.topology.atoms()]
    zipped = (tmp_path / "setup.json.gz").read_bytes()
    flipped = bytearray(zipped)
    flipped[len(zipped) // 2] ^= 0xFF
    for content in (b"nonsense", zipped[:-20], bytes(flipped)):
        (tmp_path / "setup.json.gz").write_bytes(content)
        with pytest.raises(DistillError, match="damaged"):
            read_prepared(tmp_path)


def test_molecules_are_wrapped_around_the_student() -> None:
    """Against every image, in a triclinic box; distances within molecules stay."""
    rng = np.random.default_rng(0)
    box = np.array([[3.0, 0, 0], [1.0, 2.8, 0], [1.0, 0.9, 2.5]])
    molecules = [[3 * k, 3 * k + 1, 3 * k + 2] for k in range(40)]
    centres = rng.uniform(-9, 9, (40, 1, 3))
    x = (centres + rng.normal(0, 0.05, (40, 3, 3))).reshape(-1, 3)
    wrapped = Wrap(molecules, [0, 1, 2])(x, box)
    np.testing.assert_allclose(wrapped[:3].mean(0), box.sum(0) / 2, atol=1e-12)
    inside = np.diff(x.reshape(40, 3, 3), axis=1)
    np.testing.assert_allclose(np.diff(wrapped.reshape(40, 3, 3), axis=1), inside, atol=1e-9)
    whole = (wrapped - x).reshape(40, 3, 3)[:, 0] - (wrapped - x)[0]
    cells = whole @ np.linalg.inv(box)
    np.testing.assert_allclose(cells, np.round(cells), atol=1e-9)
    away = wrapped.reshape(40, 3, 3).mean(1) - wrapped[:3].mean(0)
    cells = np.array(list(np.ndindex(5, 5, 5))) - 2.0
    images = np.linalg.norm(away[:, None] + cells @ box, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(away, axis=-1), images.min(1), atol=1e-9)


def test_a_molecule_alone_stays_where_it_was(tmp_path: Path) -> None:
    """Its centre of mass, which drifts in MD; the frames are those of which md.csv tells."""
    there = START + np.array([10.0, -20.0, 30.0])
    simulate(tmp_path, in_vacuum(METHANOL, there), settings(ps=1.0, friction=10.0))
    kept = np.load(tmp_path / "checkpoint.npz")["positions"]
    centre = METHANOL.masses @ there / METHANOL.masses.sum()
    assert np.abs(10.0 * METHANOL.masses @ kept / METHANOL.masses.sum() - centre).max() > 0.05
    trajectory = mdtraj.load(tmp_path / "trajectory.dcd", top=str(tmp_path / "topology.pdb"))
    first = mdtraj.load(str(tmp_path / "topology.pdb"))
    for frames in (trajectory, first):
        x = 10.0 * frames.xyz.astype(float)
        np.testing.assert_allclose(
            np.einsum("n,fnx->fx", METHANOL.masses, x) / METHANOL.masses.sum(),
            np.broadcast_to(centre, (len(x), 3)), atol=2e-3,
        )  # fmt: skip
    atoms = METHANOL.atoms(START)
    atoms.calc = StudentCalculator("ultra-tiny")
    for x, energy in zip(trajectory.xyz, columns(tmp_path / "md.csv")["potential_kj_per_mol"]):
        atoms.positions = 10.0 * x
        assert atoms.get_potential_energy() * 96.48533 == pytest.approx(energy, abs=0.05)


def test_seeds_and_platforms() -> None:
    seeds = {
        seed_of(seed, step, what) for seed in range(3) for step in range(50) for what in (1, 2)
    }
    assert len(seeds) == 300 and min(seeds) > 0 and max(seeds) < 2**31
    assert platform_for("auto", alone=True).getName() == "Reference"
    assert platform_for("cpu", alone=True).getName() == "CPU"
    with pytest.raises(DistillError, match="OpenMM has Reference, CPU"):
        platform_for("Abacus", alone=False)


def test_damage_is_told(tmp_path: Path) -> None:
    prepared = in_vacuum(METHANOL, START)
    simulate(tmp_path, prepared, settings(ps=1.0))
    (tmp_path / "md.csv").write_bytes((tmp_path / "md.csv").read_bytes()[:100])
    with pytest.raises(DistillError, match="shorter than at the last checkpoint"):
        simulate(tmp_path, prepared, settings(ps=2.0))
    zipped = (tmp_path / "checkpoint.npz").read_bytes()
    for content in (b"x", zipped[: len(zipped) // 2]):
        (tmp_path / "checkpoint.npz").write_bytes(content)
        with pytest.raises(DistillError, match="damaged"):
            simulate(tmp_path, prepared, settings(ps=2.0))


def test_the_report_is_json(tmp_path: Path) -> None:
    found = simulate(tmp_path, in_vacuum(METHANOL, START), settings())
    assert json.loads(json.dumps(found))["ensemble"] == "nvt"
    assert found["frames_unlike_training"] == 0


def test_molecules_that_the_border_cut_are_whole_again() -> None:
    rng = np.random.default_rng(1)
    box = np.array([[30.0, 0, 0], [10.0, 28, 0], [10.0, 9, 25]])
    chain = np.cumsum(rng.uniform(-1.5, 1.5, (30, 3)), axis=0)
    pairs = [(k, k + 1) for k in range(14)] + [(k, k + 1) for k in range(15, 29)]
    cut = chain + rng.integers(-1, 2, (30, 3)) @ box
    found = whole(cut, pairs, box)
    for first in (0, 15):
        part = slice(first, first + 15)
        np.testing.assert_allclose(found[part] - found[first], chain[part] - chain[first])
        assert np.array_equal(found[first], cut[first])


def test_a_cut_bond(tmp_path: Path) -> None:
    """A side chain of a peptide in vacuum: a link atom that no file shows."""
    pdb = app.PDBFile(str(Path(__file__).parents[2] / "examples" / "alanine_dipeptide.pdb"))
    amber = app.ForceField("amber14-all.xml").createSystem(pdb.topology, constraints=app.HBonds)
    names = {a.name: a.index for a in pdb.topology.atoms() if a.residue.name == "ALA"}
    atoms = [names[name] for name in ("CB", "HB1", "HB2", "HB3")]
    positions = pdb.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    prepared = Prepared(pdb.topology, amber, np.array(positions), atoms)
    found = simulate(tmp_path, prepared, settings(platform="Reference"))
    assert found["steps"] == 400 and "broke_up" not in found
    assert found["atoms"] == pdb.topology.getNumAtoms() + 1
    trajectory = mdtraj.load(tmp_path / "trajectory.dcd", top=str(tmp_path / "topology.pdb"))
    assert trajectory.n_atoms == pdb.topology.getNumAtoms() and trajectory.n_frames == 4


def test_an_atom_that_flies_away_ends_the_run(tmp_path: Path) -> None:
    """The student cannot be asked about it; the folder says what happened."""
    far = START.copy()
    far[-1] += 1e6
    found = simulate(tmp_path, in_vacuum(METHANOL, far), settings())
    assert found["ended"] and "no numbers" in found["broke_up"] and found["steps"] == 0
    json.dumps(found)
