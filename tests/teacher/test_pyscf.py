"""The DFT teacher against PySCF set up by hand, finite differences and its own command."""

import fcntl
import importlib.util
import os
import pickle
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import Bohr, Hartree
from pyscf import dft, gto, lib, scf
from typer.testing import CliRunner

from distill.cli import app
from distill.data.dataset import Dataset
from distill.errors import DistillError
from distill.teacher import TeacherSpec, load_teacher
from distill.teacher.pyscf import SCRATCH

COARSE = {"grids": "1"}


def shaken(name: str, rng: np.random.Generator, **info: int) -> Atoms:
    atoms = molecule(name)
    atoms.set_initial_magnetic_moments(None)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    atoms.info.update(info)
    return atoms


def by_hand(
    field: scf.hf.SCF, atoms: Atoms, basis: str, ecp: str | None = None
) -> tuple[float, np.ndarray]:
    """Energy in eV and forces in eV/Å of a mean field, given as a class and its settings."""
    kind, settings = field
    text = "; ".join(f"{s} {x} {y} {z}" for s, (x, y, z) in zip(atoms.symbols, atoms.positions))
    charge, spin = atoms.info.get("charge", 0), atoms.info.get("spin", 1) - 1
    made = kind(gto.M(atom=text, basis=basis, ecp=ecp, charge=charge, spin=spin, verbose=0))
    for key, value in settings.items():
        setattr(made, key, value)
    if hasattr(made, "grids"):
        made.grids.level = 1
    made = made.density_fit()
    energy = made.kernel() * Hartree
    gradient = made.nuc_grad_method()
    gradient.grid_response = True
    return energy, -gradient.kernel() * Hartree / Bohr


@pytest.mark.parametrize(
    ("teacher", "atoms", "field", "basis"),
    [
        ("r2scan-d4/def2-svp", ("H2O", {}), (dft.RKS, {"xc": "r2scan-d4"}), "def2-svp"),
        ("B3LYP-D3BJ/STO-3G", ("CH4", {}), (dft.RKS, {"xc": "b3lyp-d3bj"}), "sto-3g"),
        ("wb97x-d3bj/sto-3g", ("OH", {"charge": -1}), (dft.RKS, {"xc": "wb97x-d3bj"}), "sto-3g"),
        ("pbe-d4/6-31g", ("OH", {"spin": 2}), (dft.UKS, {"xc": "pbe", "disp": "d4"}), "6-31g"),
        ("hf/sto-3g", ("O2", {"spin": 3}), (scf.UHF, {}), "sto-3g"),
        ("hf-d3bj/sto-3g", ("NH4", {"charge": 1}), (scf.RHF, {"disp": "d3bj"}), "sto-3g"),
    ],
)
def test_labels_are_those_of_pyscf(teacher, atoms, field, basis, rng) -> None:
    name, info = atoms
    if name == "NH4":
        h = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.6
        atoms = Atoms("NH4", [[0.02, 0, 0], *h], info=info)
    else:
        atoms = shaken(name, rng, **info)
    loaded = load_teacher(f"pyscf:{teacher}", options=COARSE)
    (label,) = loaded.label([atoms])
    energy, forces = by_hand(field, atoms, basis)
    assert label.error is None and label.stress is None and loaded.conservative
    assert label.energy == pytest.approx(energy, abs=1e-4)  # PySCF has another bohr
    np.testing.assert_allclose(label.forces, forces, atol=1e-4)
    assert loaded.name == f"pyscf:{teacher.lower()}"


@pytest.mark.parametrize(
    ("teacher", "name", "info"),
    [
        ("r2scan-d4/sto-3g", "CH3OH", {}),
        ("b3lyp-d3bj/sto-3g", "H2O", {}),
        ("pbe-d4/sto-3g", "CH3", {"spin": 2}),
    ],
)
def test_forces_are_the_derivative_of_the_energy(teacher, name, info, rng) -> None:
    """With the dispersion and on a coarse grid, which only its response makes right."""
    atoms, step, moved = shaken(name, rng, **info), 1e-3, []
    for sign in (1, -1):
        other = atoms.copy()
        other.positions[0, 1] += sign * step
        moved.append(other)
    here, plus, minus = load_teacher(f"pyscf:{teacher}", options=COARSE).label([atoms, *moved])
    assert here.forces[0, 1] == pytest.approx(-(plus.energy - minus.energy) / (2 * step), abs=3e-4)
    assert here.forces.sum(axis=0) == pytest.approx(0, abs=1e-5)


def test_the_dispersion_is_in_energy_and_forces(rng: np.random.Generator) -> None:
    pair = Atoms("Ar2", [[0, 0, 0], [0, 0, 3.6]])
    bare, with_d4 = (
        load_teacher(f"pyscf:pbe{end}/sto-3g", options=COARSE).label([pair])[0]
        for end in ("", "-d4")
    )
    assert with_d4.energy < bare.energy - 1e-3
    assert with_d4.forces[0, 2] > bare.forces[0, 2] + 1e-3  # it attracts


def test_an_element_with_a_core_potential_gets_it() -> None:
    iodide = Atoms("HI", [[0, 0, 0], [0, 0, 1.6]])
    (label,) = load_teacher("pyscf:hf/def2-svp").label([iodide])
    energy, forces = by_hand((scf.RHF, {}), iodide, "def2-svp", ecp="def2-svp")
    assert label.energy == pytest.approx(energy, abs=1e-4)
    np.testing.assert_allclose(label.forces, forces, atol=1e-4)


def test_the_last_density_and_a_second_order_scf_change_no_label(rng: np.random.Generator) -> None:
    near = [shaken("H2O", rng) for _ in range(2)]
    fresh = load_teacher("pyscf:pbe/sto-3g", options=COARSE)
    short = load_teacher("pyscf:pbe/sto-3g", options={**COARSE, "max_cycle": "5"})
    for warm, atoms, second in zip(fresh.label(near), near, short.label(near), strict=True):
        (cold,) = load_teacher("pyscf:pbe/sto-3g", options=COARSE).label([atoms])
        for label in (warm, second):
            assert label.error is None
            assert label.energy == pytest.approx(cold.energy, abs=1e-6)
            np.testing.assert_allclose(label.forces, cold.forces, atol=1e-4)


def test_what_cannot_be_labelled_is_recorded_and_leaves_the_next_alone() -> None:
    water = molecule("H2O")
    crystal, nowhere, odd, heavy = water.copy(), water.copy(), water.copy(), water.copy()
    crystal.set_cell([5, 5, 5])
    crystal.pbc = True
    nowhere.positions[0] = np.nan
    odd.info["spin"] = 2
    heavy.numbers[0] = 79
    teacher = load_teacher("pyscf:hf/sto-3g")
    first, *failed, last = teacher.label([water, crystal, nowhere, odd, heavy, water])
    assert last.energy == pytest.approx(first.energy, abs=1e-7)
    words = ("periodic", "not finite", "10 electrons .* multiplicity 2", "no functions for Au")
    for label, text in zip(failed, words, strict=True):
        assert label.error is not None and label.error.startswith("pyscf:hf/sto-3g: ")
        with pytest.raises(DistillError, match=text):
            raise DistillError(label.error)
        assert np.isnan(label.energy) and label.forces.shape == (3, 3)


def test_an_scf_that_does_not_converge_is_recorded() -> None:
    (label,) = load_teacher("pyscf:pbe/sto-3g", options={"max_cycle": "1"}).label([molecule("H2O")])
    assert label.error is not None and "has not converged within 1 cycles" in label.error
    assert np.isnan(label.energy) and np.isnan(label.forces).all()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("pyscf:r2scan", {}, "write pyscf:functional/basis"),
        ("pyscf:r2scna-d4/def2-svp", {}, "no functional 'r2scna-d4'; did you mean r2scan-d4"),
        ("pyscf:b2plyp/def2-svp", {}, "no functional 'b2plyp'"),
        ("pyscf:xyzzy/def2-svp", {}, "no functional 'xyzzy'; check the spelling"),
        ("pyscf:lda/sto-3g", {}, "'lda' is exchange without correlation"),
        ("pyscf:lda_k_tf/sto-3g", {}, "no functional for exchange and correlation"),
        ("pyscf:wb97xd/sto-3g", {}, "dispersion that is part of wb97xd is missing"),
        ("pyscf:r2scan-3c/def2-mtzvpp", {}, "not bring all parts of r2scan-3c"),
        ("pyscf:b3lyp-d3/sto-3g", {}, "no dispersion correction 'd3' .* d3bj"),
        ("pyscf:mn15-d4/sto-3g", {}, "no parameters of the dispersion correction d4 for mn15"),
        ("pyscf:r2scanl/sto-3g", {}, "cannot label with r2scanl"),
        ("pyscf:pbe/def2-svpp", {}, "no basis set 'def2-svpp' .* did you mean def2-svp"),
        ("pyscf:pbe/def2-svp-jkfit", {}, "no basis set 'def2-svp-jkfit' for orbitals"),
        ("pyscf:pbe/bfd-vdz", {}, "valence electrons of C alone"),
        ("pyscf:pbe/gth-dzvp", {}, "valence electrons of C alone"),
        ("pyscf:pbe/sto-3g", {"thread": "1"}, "no option 'thread'; there are threads"),
        ("pyscf:pbe/sto-3g", {"threads": "0"}, "threads is '0'; give a positive whole number"),
        ("pyscf:pbe/sto-3g", {"memory": "much"}, "memory is 'much'; give a positive whole"),
        ("pyscf:pbe/sto-3g", {"grids": "10"}, "a level from 0 to 9"),
        ("pyscf:pbe/sto-3g", {"device": "xpu"}, "choose of auto, cpu, gpu"),
    ],
)
def test_a_wrong_name_or_option_is_refused_at_loading(name, options, words) -> None:
    with pytest.raises(DistillError, match=words):
        TeacherSpec(name, options=options).load()


def test_the_names_in_the_docs_load_and_one_label_runs_with_its_options() -> None:
    page = (Path(__file__).parents[2] / "docs" / "teachers.md").read_text()
    names = set(re.findall(r"pyscf:[a-z0-9-]+/[a-z0-9-]+", page))
    assert len(names) >= 5
    for name in names:
        assert load_teacher(name).name == name
    options = {"grids": "4", "memory": "2000", "max_cycle": "40", "conv_tol": "1e-8"}
    assert load_teacher("pyscf:hf/sto-3g", options=options).label([molecule("H2")])[0].error is None


def test_a_basis_set_for_heavy_elements_alone_loads() -> None:
    assert load_teacher("pyscf:hf/cc-pvdz-pp").label([Atoms("Br", info={"charge": -1})])[0].energy


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyscf.dispersion", None)
    with pytest.raises(DistillError, match=r"needs pyscf-dispersion; .*mlff-distiller\[dft\]"):
        load_teacher("pyscf:pbe-d4/sto-3g")
    assert "dispersion" not in load_teacher("pyscf:pbe/sto-3g").version
    with pytest.raises(DistillError, match="device=gpu needs gpu4pyscf"):
        load_teacher("pyscf:pbe/sto-3g", options={"device": "gpu"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DistillError, match=r"needs PySCF; .*mlff-distiller\[dft\]"):
        load_teacher("pyscf:pbe/sto-3g")


def test_weights_are_refused_and_the_way_of_writing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="no weights"):
        load_teacher("pyscf:hf/sto-3g", weights=tmp_path / "weights.ckpt")
    with pytest.raises(DistillError, match="pyscf:functional/basis"):
        load_teacher("r2scan")


def test_the_recipe_names_what_the_labels_depend_on() -> None:
    spec = pickle.loads(pickle.dumps(TeacherSpec("pyscf:R2SCAN-D4/STO-3G", options=COARSE)))
    assert spec.name == "pyscf:r2scan-d4/sto-3g"
    assert spec.settings != TeacherSpec(spec.name, options={"grids": "2"}).settings
    how = {"threads": "2", "memory": "2000", "device": "cpu", "time-limit": "60"}
    assert TeacherSpec(spec.name, options={**COARSE, **how}).settings == spec.settings
    loaded = spec.load()
    assert loaded.name == spec.name
    for package in ("pyscf", "pyscf-dispersion"):
        assert f"{package} {version(package)}" in loaded.version
    assert f"libxc {dft.libxc.__version__}" in loaded.version


def test_one_element_without_fitting_functions_does_not_stop_the_others() -> None:
    """With the fitting set that PySCF takes by the name of cc-pVDZ, lithium raises an error."""
    atoms = Atoms("LiH", [[0, 0, 0], [0, 0, 1.6]])
    (label,) = load_teacher("pyscf:hf/cc-pvdz").label([atoms])
    exact = scf.RHF(gto.M(atom="Li 0 0 0; H 0 0 1.6", basis="cc-pvdz", verbose=0)).kernel()
    assert label.energy == pytest.approx(exact * Hartree, abs=5e-3)  # without density fitting


def test_the_command_labels_quietly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["label", "[OH3+]", "-o", str(tmp_path / "data.h5"), "--frames", "3"]
    teacher = ["--teacher", "pyscf:HF/STO-3G", "--workers", "1"]
    result = CliRunner().invoke(app, [*arguments, *teacher])
    assert result.exit_code == 0, result.output
    with Dataset.open(tmp_path / "data.h5") as dataset:
        assert dataset.teacher.name == "pyscf:hf/sto-3g"
        assert dataset.frames == 3
        (ion,) = dataset
    atoms = Atoms(ion.numbers, ion.positions[1], info={"charge": 1})
    energy, forces = by_hand((scf.RHF, {}), atoms, "sto-3g")
    assert ion.energy[1] == pytest.approx(energy, abs=1e-4)
    np.testing.assert_allclose(ion.forces[1], forces, atol=1e-4)
    assert "pyscf" not in capfd.readouterr().err.lower()
    again = CliRunner().invoke(app, [*arguments, "--teacher", "pyscf:hf/sto-3g"])
    assert again.exit_code == 0 and "were there already" in again.output


def test_integrals_on_disk_do_not_outlive_a_killed_process(tmp_path: Path) -> None:
    """A killed process leaves its folder, which the next one removes; a live one's stays."""
    left, held = tmp_path / f"{SCRATCH}left", tmp_path / f"{SCRATCH}held"
    for folder in (left, held):
        folder.mkdir()
        (folder / "integrals").write_text("many gigabytes")
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    code = (
        "from distill.teacher import load_teacher; from ase.build import molecule\n"
        "from pyscf.df import DF; build = DF.build\n"
        "def on_disk(self):\n"
        "    self.max_memory = 0\n"
        "    build(self)\n"
        "    print(self._cderi_to_save.name)\n"
        "DF.build = on_disk\n"
        "teacher = load_teacher('pyscf:hf/sto-3g')\n"
        "print(teacher.label([molecule('H2O')])[0].error)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    os.close(lock)
    *files, error = done.stdout.split()
    assert (done.returncode, error, done.stderr) == (0, "None", "")
    assert files and all(Path(file).parent.name.startswith(SCRATCH) for file in files)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [held.name]


def test_a_time_limit_for_one_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = load_teacher("pyscf:hf/sto-3g", options={"time-limit": "2"})
    solve = teacher._solve

    def slow(mol, *rest):
        while mol.nelectron == 10:
            pass
        return solve(mol, *rest)

    monkeypatch.setattr(teacher, "_solve", slow)
    late, right = teacher.label([molecule("H2O"), molecule("H2")])
    assert late.error == "pyscf:hf/sto-3g: it took longer than the 2 s of time-limit"
    assert right.error is None
    with pytest.raises(DistillError, match="time-limit is 'soon'"):
        load_teacher("pyscf:hf/sto-3g", options={"time-limit": "soon"})


def test_threads_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = load_teacher("pyscf:hf/sto-3g", options={"threads": "2"})
    before, seen = lib.num_threads(), []
    monkeypatch.setattr(teacher, "_label", lambda atoms: seen.append(lib.num_threads()))
    teacher.label([molecule("H2O")])
    assert seen == [2]
    assert lib.num_threads() == before
