"""Orb's real architectures with random weights (its own cannot be fetched on a build machine).

The judge is orb-models' own ASE calculator on the same weights, and finite differences.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from orb_models.forcefield import pretrained
from orb_models.forcefield.atomic_system import SystemConfig
from orb_models.forcefield.calculator import ORBCalculator

from distill.errors import DistillError
from distill.teacher.orb import ATOMS_PER_BATCH, OrbTeacher, orb_names

OPTIONS = {"device": "cpu"}


def _save(model: torch.nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for state dicts of 100 MB each, which pytest would keep for three runs."""
    path = tmp_path_factory.mktemp("orb")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def v2(folder: Path) -> Path:
    torch.manual_seed(1)
    config = SystemConfig(radius=6.0, max_num_neighbors=20)
    return _save(pretrained.orb_v2_architecture(device="cpu", system_config=config), folder / "v2")


@pytest.fixture(scope="module")
def teacher(v2: Path) -> OrbTeacher:
    return OrbTeacher("orb-v2", v2, OPTIONS)


def _v3(kind: str, omol: bool, path: Path) -> Path:
    torch.manual_seed(2)
    make: Callable[..., torch.nn.Module] = getattr(pretrained, f"orb_v3_{kind}_architecture")
    return _save(make(device="cpu", has_charge_spin_cond=omol, has_stress=not omol), path)


@pytest.fixture(scope="module")
def omol(folder: Path) -> Path:
    return _v3("conservative", True, folder / "omol")


def _displaced(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
    return atoms


def _crystal(rng: np.random.Generator) -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.cell[1, 0] = 0.7  # triclinic
    return _displaced(atoms, rng)


def _theirs(model: torch.nn.Module, atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = ORBCalculator(model, device="cpu")
    return atoms


def _same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert np.abs(theirs).max() > 1e-4, "random weights that give zeros test nothing"
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6 * np.abs(theirs).max())


def test_labels_equal_orb_models_own_calculator(
    teacher: OrbTeacher, v2: Path, rng: np.random.Generator
) -> None:
    ethanol = _displaced(molecule("CH3CH2OH"), rng)
    crystal = _crystal(rng)
    model = pretrained.orb_v2(
        weights_path=str(v2), device="cpu", compile=False, precision="float32-highest"
    )
    free, periodic = teacher.label([ethanol, crystal])  # one batch: neither may feel the other
    for label, atoms in (free, ethanol), (periodic, crystal):
        theirs = _theirs(model, atoms)
        assert label.error is None
        assert label.energy == pytest.approx(theirs.get_potential_energy(), rel=1e-5)
        assert label.forces.shape == (len(atoms), 3)
        _same(label.forces, theirs.get_forces())
    assert free.stress is None
    assert periodic.stress is not None
    _same(periodic.stress, theirs.get_stress(voigt=False))


def test_the_record_names_version_weights_and_direct_forces(teacher: OrbTeacher, v2: Path) -> None:
    assert teacher.name == "orb-v2"
    assert not teacher.conservative
    assert "orb-models 0." in teacher.version
    assert "v2 (sha256 " in teacher.version
    assert "non-conservative" in teacher.version


def test_a_bad_geometry_fails_alone(teacher: OrbTeacher) -> None:
    good, nan, slab = molecule("H2O"), molecule("H2O"), molecule("H2O")
    nan.positions[0] = np.nan
    slab.cell, slab.pbc = np.eye(3) * 8, (True, True, False)
    single = Atoms("Ar")  # no edges
    labels = teacher.label([nan, good, slab, Atoms(), single])
    assert [label.error is None for label in labels] == [False, True, False, False, True]
    assert labels[0].forces.shape == (3, 3)
    assert np.isnan(labels[0].energy)
    assert "periodicity" in str(labels[2].error)
    assert "orb-v2" in str(labels[2].error)
    np.testing.assert_allclose(labels[1].forces, teacher.label([good])[0].forces, atol=1e-5)
    assert np.isfinite(labels[4].energy)
    assert teacher.label([]) == []


def test_more_geometries_than_fit_one_batch_keep_their_order(teacher: OrbTeacher) -> None:
    gases = [molecule(name) for name in ("H2O", "NH3", "C6H6")]
    many = gases * (ATOMS_PER_BATCH // 19 + 1)
    labels = teacher.label(many)
    alone = [teacher.label([atoms])[0].energy for atoms in gases]
    np.testing.assert_allclose(
        [label.energy for label in labels], alone * (len(many) // 3), rtol=1e-5
    )


def test_torch_keeps_its_settings(v2: Path) -> None:
    torch.set_default_dtype(torch.float64)
    before = torch.get_float32_matmul_precision()
    OrbTeacher("orb_v2", v2, {**OPTIONS, "precision": "float32-high"}).label([molecule("H2")])
    assert torch.get_default_dtype() == torch.float64
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.slow
def test_charge_and_spin_reach_the_omol_model(omol: Path, rng: np.random.Generator) -> None:
    teacher = OrbTeacher("orb-v3-conservative-omol", omol, OPTIONS)
    assert teacher.conservative
    model = pretrained.orb_v3_conservative_omol(
        weights_path=str(omol), device="cpu", compile=False, precision="float32-highest"
    )
    systems = [_displaced(molecule("CH3OH"), rng) for _ in range(3)]
    systems[1].info.update(charge=-1, spin=1)
    systems[2].info.update(charge=1, spin=2)
    labels = teacher.label(systems)
    systems[0].info.update(charge=0, spin=1)  # what we take for granted
    for label, atoms in zip(labels, systems, strict=True):
        theirs = _theirs(model, atoms)
        assert label.energy == pytest.approx(theirs.get_potential_energy(), rel=1e-5)
        _same(label.forces, theirs.get_forces())
        assert label.stress is None
    same_place = [systems[0].copy() for _ in range(3)]
    same_place[1].info.update(charge=1)
    same_place[2].info.update(spin=3)
    energies = [label.energy for label in teacher.label(same_place)]
    assert len({round(energy, 4) for energy in energies}) == 3


@pytest.mark.slow
def test_conservative_forces_and_stress_are_derivatives(
    folder: Path, rng: np.random.Generator
) -> None:
    path = _v3("conservative", False, folder / "omat")
    name, step = "orb-v3-conservative-20-omat", 1e-3
    teacher = OrbTeacher(name, path, {**OPTIONS, "precision": "float64"})
    atoms = _crystal(rng)
    moved = [atoms.copy() for _ in range(4)]
    moved[0].positions[2, 1] += step
    moved[1].positions[2, 1] -= step
    for strained, sign in (moved[2], 1), (moved[3], -1):
        strain = np.eye(3)
        strain[0, 0] += sign * step
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    label, *around = teacher.label([atoms, *moved])
    up, down, longer, shorter = (other.energy for other in around)
    assert label.forces[2, 1] == pytest.approx(-(up - down) / (2 * step), rel=1e-3, abs=1e-6)
    assert label.stress is not None
    slope = (longer - shorter) / (2 * step) / atoms.get_volume()
    assert label.stress[0, 0] == pytest.approx(slope, rel=1e-3, abs=1e-7)


@pytest.mark.slow
def test_weights_of_another_model_are_refused(omol: Path, v2: Path, tmp_path: Path) -> None:
    state = torch.load(v2, weights_only=True)
    headless = tmp_path / "headless.ckpt"
    torch.save({k: v for k, v in state.items() if not k.startswith("heads.forces")}, headless)
    with pytest.raises(DistillError, match="no forces head"):  # orb-models takes random ones
        OrbTeacher("orb-v2", headless, OPTIONS)
    headless.unlink()
    with pytest.raises(DistillError, match="no state dict of orb-v3-direct-omol"):
        OrbTeacher("orb-v3-direct-omol", omol, OPTIONS)
    with pytest.raises(DistillError, match="no state dict of orb-v3-direct-20-omat"):
        OrbTeacher("orb-v3-direct-20-omat", v2, OPTIONS)
    truncated = tmp_path / "truncated.ckpt"
    truncated.write_bytes(v2.read_bytes()[:1000])
    text = tmp_path / "text.ckpt"
    text.write_text("no weights")
    for path in truncated, text:
        with pytest.raises(DistillError, match="no state dict of orb-v2.*--weights"):
            OrbTeacher("orb-v2", path, OPTIONS)


def test_a_failed_download_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cached_path.common.CACHE_DIRECTORY", tmp_path)  # an empty cache
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)  # else 30 s
    for name in "HTTPS_PROXY", "https_proxy":  # nobody listens on port 9
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in "NO_PROXY", "no_proxy":
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DistillError, match="Cannot download the weights of orb-v2 .*--weights"):
        OrbTeacher("orb-v2", None, OPTIONS)


def test_every_name_of_the_library_is_known() -> None:
    assert {name.replace("-", "_") for name in pretrained.ORB_PRETRAINED_MODELS} == {
        name.replace("-", "_") for name in orb_names()
    }
    assert {"orb-v2", "orb-v3-conservative-omol", "orb-v3-direct-omol"} <= set(orb_names())


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("orb-v9", {}, "no 'orb-v9'; there are .*orb-v2"),
        ("orb-v1", {}, "use orb-v2"),
        ("orb_v2", {"colour": "red"}, "no option 'colour'"),
        ("orb-v2", {"precision": "float16"}, "precision must be one of"),
        ("orb-v2", {"device": "toaster"}, "no device 'toaster'"),
        ("orb-v2", {"compile": "perhaps"}, "true or false"),
        ("orb-v2", {}, "missing.ckpt.*--weights"),
    ],
)
def test_bad_input_gives_one_sentence(name: str, options: dict[str, str], match: str) -> None:
    with pytest.raises(DistillError, match=match):
        OrbTeacher(name, Path("missing.ckpt"), options)


def test_without_orb_models_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "orb_models.forcefield.pretrained", None)
    with pytest.raises(DistillError, match=r"pip install 'mlff-distiller\[orb\]'"):
        OrbTeacher("orb-v2")
