"""Energy and forces of one calculator, or a sentence."""

from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from distill.errors import DistillError
from distill.evaluate import read_frames
from distill.evaluate.label_keys import LabelKeys

FORCES = np.arange(9.0).reshape(3, 3) / 10


def written(path: Path, *frames: tuple[dict[str, object], dict[str, np.ndarray]]) -> Path:
    images = []
    for info, arrays in frames:
        atoms = ase.build.molecule("H2O")
        own = {k: info[k] for k in ("energy", "free_energy") if k in info}
        own |= {k: arrays[k] for k in ("forces",) if k in arrays}
        atoms.info = {k: v for k, v in info.items() if k not in own}
        atoms.arrays |= {k: v for k, v in arrays.items() if k not in own}
        if own:
            atoms.calc = SinglePointCalculator(atoms, **own)
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return path


PAIRS = [
    ("energy", "forces"), ("Energy", "Forces"), ("REF_energy", "REF_forces"),
    ("DFT_energy", "DFT_forces"), ("dft_energy", "dft_force"), ("TotEnergy", "force"),
    ("QM_energy", "QM_forces"), ("dft_total_energy", "dft_forces"), ("total_energy", "forces"),
    ("energy_dft", "forces_dft"), ("mp2-energy", "mp2-forces"), ("REFEnergy", "REFForces"),
    ("potential_energy", "potential_forces"),
]  # fmt: skip


@pytest.mark.parametrize("energy, forces", PAIRS)
def test_pairs_are_found(energy: str, forces: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.xyz", ({energy: -3.0}, {forces: FORCES}))
    (frame,) = read_frames(path)
    assert frame.energy == -3.0 and frame.forces == pytest.approx(FORCES)
    # also beside numbers that are not labels of the same calculator, or no labels
    others = {"config_energy_weight": 5.0, "formation_energy": -1.0, "other_energy": -9.0}
    path = written(tmp_path / "b.xyz", ({**others, energy: -3.0}, {forces: FORCES}))
    assert read_frames(path)[0].energy == -3.0


def test_the_energy_goes_with_the_forces(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.xyz", ({"energy": -1.0, "REF_energy": -6.0}, {"REF_forces": FORCES})
    )
    assert read_frames(path)[0].energy == -6.0
    path = written(tmp_path / "a.xyz", ({"free_energy": -1.0, "energy": -2.0}, {"forces": FORCES}))
    assert read_frames(path)[0].energy == -2.0


def test_what_cannot_be_told_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    mixed = {"energy": -1.0}, {"REF_forces": FORCES}
    two = (
        {"energy": -1.0, "REF_energy": -6.0},
        {"forces": FORCES, "REF_forces": 2 * FORCES},
    )
    for frame, match in (
        (mixed, "do not go together.*--energy-key energy --forces-key REF_forces"),
        (two, r"more than one calculator: .*--energy-key (REF_)?energy --forces-key \1?forces"),
        (({"E_tot": -1.0}, {"forces": FORCES}), "no energy.*comment line has E_tot"),
        (({"energy": -1.0}, {"f": FORCES}), "no forces.*columns beside the positions are f"),
        (({"energy": "low"}, {"forces": FORCES}), "no number|not a number"),
    ):
        written(path, frame)
        with pytest.raises(DistillError, match=f"Frame 0 of .*{match}"):
            read_frames(path)
    written(path, two)
    keys = LabelKeys("REF_energy", "REF_forces")
    assert read_frames(path, keys)[0].energy == -6.0
    # one of the two names is enough
    for keys in (LabelKeys(energy="REF_energy"), LabelKeys(forces="REF_forces")):
        (frame,) = read_frames(path, keys)
        assert frame.energy == -6.0 and frame.forces == pytest.approx(2 * FORCES)
    written(path, mixed)
    assert read_frames(path, LabelKeys("energy", "REF_forces"))[0].energy == -1.0
    with pytest.raises(DistillError, match=r"no 'E' \(--energy-key\); .* has energy, "):
        read_frames(path, LabelKeys("E"))
    for unit in ({"energy_unit": "Hartree"}, {"units": "kcal/mol"}, {"units": "eV, a.u."}):
        written(path, ({"energy": -1.0, **unit}, {"forces": FORCES}))
        with pytest.raises(DistillError, match="another unit; write energies in eV"):
            read_frames(path)
    written(path, ({"energy_hartree": -1.0}, {"forces_hartree_bohr": FORCES}))
    with pytest.raises(DistillError, match="another unit"):
        read_frames(path, LabelKeys("energy_hartree", "forces_hartree_bohr"))
    written(path, ({"energy": -1.0, "units": "eV, eV/Angstrom"}, {"forces": FORCES}))
    assert read_frames(path)[0].energy == -1.0
    with pytest.raises(DistillError, match="is a gradient"):
        written(path, ({"energy": 0.0}, {"grad": FORCES}))
        read_frames(path, LabelKeys("energy", "grad"))


def test_labels_that_are_there_twice_are_no_riddle(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.xyz",
        ({"energy": -1.0, "REF_energy": -1.0}, {"forces": FORCES, "REF_forces": FORCES}),
    )
    assert read_frames(path)[0].energy == -1.0


def test_frames_of_two_calculators_are_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.xyz",
        ({"energy": -1.0}, {"forces": FORCES}),
        ({"REF_energy": -1.0}, {"REF_forces": FORCES}),
    )
    with pytest.raises(DistillError, match="Frame 1 .* in REF_energy and REF_forces"):
        read_frames(path)
    path = written(
        tmp_path / "a.xyz",
        ({"energy": -1.0}, {"forces": FORCES}),
        ({"a_energy": 2.0, "energy": -1.0}, {"a_forces": FORCES, "forces": 3 * FORCES}),
    )
    with pytest.raises(DistillError, match="Frame 1 .*more than one calculator"):
        read_frames(path)
