import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.errors import DistillError
from distill.evaluate import LabelledFrame, predict, read_frames
from distill.student import Student
from distill.student.neighbours import neighbour_list

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def student():
    return Student.untrained("ultra-tiny").double()


def frame(atoms, energy=0.0, forces=None, **kwargs):
    forces = np.zeros((len(atoms), 3)) if forces is None else forces
    cell = atoms.cell.array if atoms.pbc.any() else None
    return LabelledFrame(
        kwargs.pop("name", str(atoms.symbols)),
        atoms.numbers,
        atoms.positions,
        energy,
        forces,
        cell,
        atoms.pbc,
        **kwargs,
    )


def shaken(name):
    atoms = ase.build.molecule(name)
    atoms.rattle(0.05, rng=RNG)
    return atoms


def labelled(atoms):
    atoms.calc = SinglePointCalculator(
        atoms, energy=RNG.normal(), forces=RNG.normal(size=(len(atoms), 3))
    )
    return atoms


@pytest.mark.parametrize("batch, max_atoms", [(1, 2048), (3, 2048), (32, 2048), (32, 10)])
def test_batches_change_nothing(student, batch, max_atoms):
    molecules = [shaken(name) for name in ("CH3CH2OH", "H2O", "C6H6", "CH4", "H2O", "HCl", "C")]
    p = predict(
        student, [frame(m) for m in molecules], batch=batch, max_atoms=max_atoms, progress=False
    )
    start = 0
    for k, atoms in enumerate(molecules):
        edges = neighbour_list(atoms.positions, None, False, student.config.cutoff)
        positions = torch.tensor(atoms.positions, requires_grad=True)
        energy = student.atomic_energies(
            positions, torch.tensor(atoms.numbers), *map(torch.as_tensor, edges)
        ).sum()
        energy.backward()
        assert p.energy_pred[k] == pytest.approx(energy.item(), abs=1e-9)
        got = p.forces_pred[start : start + len(atoms)]
        assert got == pytest.approx(-positions.grad.numpy(), abs=1e-9)
        start += len(atoms)
    assert p.numbers.tolist() == [z for atoms in molecules for z in atoms.numbers]


def test_periodic_frames_feel_their_images(student):
    crystal = ase.build.bulk("C", "diamond", a=3.57)
    crystal.rattle(0.05, rng=RNG)
    double = crystal.repeat((2, 1, 1))
    wrapped = double.copy()
    wrapped.positions += wrapped.cell[0] * 0.5
    wrapped.wrap()
    cluster = crystal.copy()
    cluster.pbc = False
    p = predict(student, [frame(a) for a in (crystal, double, wrapped, cluster)], progress=False)
    one, two, three, alone = p.energy_pred
    assert two == pytest.approx(2 * one, abs=1e-8)
    assert three == pytest.approx(two, abs=1e-8)
    assert alone != pytest.approx(one, abs=1e-3)
    assert p.forces_pred[2:4] == pytest.approx(p.forces_pred[:2], abs=1e-8)


def test_float32_is_close(student):
    frames = [frame(shaken("C6H6")) for _ in range(5)]
    single = Student.untrained("ultra-tiny")
    p, q = (predict(s, frames, progress=False) for s in (student, single))
    assert q.forces_pred == pytest.approx(p.forces_pred, abs=1e-4)
    assert q.energy_pred == pytest.approx(p.energy_pred, abs=1e-4)


def test_extended_xyz_and_dataset_give_the_same_frames(tmp_path):
    images = [labelled(shaken("CH3OH")) for _ in range(3)]
    for k, atoms in enumerate(images):
        atoms.info.update(name="methanol", temperature=300.0 + k, source="md")
    ase.io.write(tmp_path / "a.xyz", images, format="extxyz")
    write(
        tmp_path / "a.h5",
        TeacherRecord("gfn2-xtb", "0", True),
        [
            MoleculeData(
                "methanol",
                "CO",
                0,
                images[0].numbers,
                np.array([a.positions for a in images]),
                np.array([a.get_potential_energy() for a in images]),
                np.array([a.get_forces() for a in images]),
                np.array([300.0, 301.0, 302.0]),
                np.array(["md"] * 3),
            )
        ],
    )
    from_xyz, from_h5 = read_frames(tmp_path / "a.xyz"), read_frames(tmp_path / "a.h5")
    assert len(from_xyz) == len(from_h5) == 3
    for x, h, atoms in zip(from_xyz, from_h5, images, strict=True):
        assert (x.name, x.source, x.temperature) == (h.name, h.source, h.temperature)
        assert x.numbers.tolist() == h.numbers.tolist() == atoms.numbers.tolist()
        for a, b in ((x.positions, h.positions), (x.forces, h.forces)):
            assert a == pytest.approx(b, abs=1e-5)
        assert x.energy == pytest.approx(atoms.get_potential_energy())
        assert x.cell is None and not x.pbc.any()


def test_a_charge_that_was_never_learned(tmp_path):
    learned = Student.untrained("ultra-tiny").double()
    learned.card = {"charges": [-1, 0]}
    atoms = shaken("CH4")
    atoms.info["charge"] = 1
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((5, 3)))
    ase.io.write(tmp_path / "cation.xyz", atoms)
    with pytest.raises(DistillError, match="charge -1, 0 only"):
        predict(learned, read_frames(tmp_path / "cation.xyz"))


def test_extended_xyz_keeps_cell_and_boundaries(tmp_path):
    slab = labelled(ase.build.graphene(vacuum=5.0))
    ase.io.write(tmp_path / "a.xyz", slab, format="extxyz")
    (read,) = read_frames(tmp_path / "a.xyz")
    assert read.pbc.tolist() == [True, True, False]
    assert read.cell == pytest.approx(slab.cell.array)
    assert read.name == "C2"


def test_other_names_for_the_reference(tmp_path):
    atoms = shaken("H2O")
    atoms.info["REF_energy"] = -3.0
    atoms.arrays["REF_forces"] = forces = RNG.normal(size=(3, 3))
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    (read,) = read_frames(tmp_path / "a.xyz")
    assert read.energy == -3.0
    assert read.forces == pytest.approx(forces, abs=1e-7)


def no_forces(path):
    atoms = shaken("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    ase.io.write(path, atoms, format="extxyz")


def no_energy(path):
    atoms = shaken("H2O")
    atoms.calc = SinglePointCalculator(atoms, forces=np.zeros((3, 3)))
    ase.io.write(path, atoms, format="extxyz")


def nan_forces(path):
    path.write_text("1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=1.0\nH 0 0 0 nan 0 0\n")


def truncated(path):
    ase.io.write(path, labelled(shaken("C6H6")), format="extxyz")
    path.write_text("\n".join(path.read_text().splitlines()[:6]))


@pytest.mark.parametrize(
    "suffix, make, message",
    [
        ("xyz", lambda path: None, "no file"),
        ("xyz", lambda path: path.write_bytes(b""), "empty"),
        ("h5", lambda path: path.write_bytes(b""), "empty"),
        ("h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100), "not a dataset"),
        ("xyz", lambda path: path.write_bytes(bytes(range(256)) * 9), "neither"),
        ("csv", lambda path: path.write_text("a,b\n1,2\n"), "neither"),
        ("xyz", truncated, "neither"),
        ("xyz", no_forces, "no forces"),
        ("xyz", no_energy, "no energy"),
        ("xyz", nan_forces, "NaN or infinite forces"),
    ],
)
def test_bad_files_are_refused(tmp_path, suffix, make, message):
    path = tmp_path / f"data.{suffix}"
    make(path)
    with pytest.raises(DistillError, match=message):
        read_frames(path)


def test_bad_frames_are_refused(student):
    water = shaken("H2O")
    with pytest.raises(DistillError, match="Fe"):
        predict(student, [frame(water), frame(Atoms("Fe"))], progress=False)
    with pytest.raises(DistillError, match="no labelled frame"):
        predict(student, [], progress=False)
    with pytest.raises(DistillError, match="NaN or infinite energy"):
        predict(student, [frame(water, energy=np.nan)], progress=False)
    with pytest.raises(DistillError, match="shape"):
        predict(student, [frame(water, forces=np.zeros((2, 3)))], progress=False)
    with pytest.raises(DistillError, match="overlapping"):
        predict(student, [frame(Atoms("CC", [[0, 0, 0], [0, 0, 0]]))], progress=False)
