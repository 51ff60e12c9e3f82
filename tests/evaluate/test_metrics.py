import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from distill.evaluate.metrics import (
    angular_errors,
    compute_metrics,
    energy_metrics,
    force_metrics,
    r2,
)
from distill.evaluate.predict import Predictions

RNG = np.random.default_rng(0)


def some_predictions(names=("a", "b", "a", "a", "b"), sizes=(3, 5, 3, 3, 5), noise=0.1):
    sizes = np.array(sizes)
    atoms = int(sizes.sum())
    forces = RNG.normal(size=(atoms, 3))
    numbers = {name: RNG.choice([1, 6, 8], n) for name, n in zip(names, sizes, strict=True)}
    energy = RNG.normal(size=len(names)) - 100
    return Predictions(
        names=names,
        n_atoms=sizes,
        numbers=np.concatenate([numbers[name] for name in names]),
        energy_ref=energy,
        energy_pred=energy + noise * RNG.normal(size=len(names)),
        forces_ref=forces,
        forces_pred=forces + noise * RNG.normal(size=(atoms, 3)),
        temperature=np.array([300.0, 500.0, 300.0, np.nan, 500.0])[: len(names)],
        source=("md", "md", "displaced", "", "md")[: len(names)],
    )


def test_by_hand():
    reference = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    predicted = np.array([[0.0, 1.0, 0.0], [0.0, 2.5, 0.0]])
    m = force_metrics(reference, predicted)
    # component errors: -1, 1, 0, 0, 0.5, 0; mean component 0.5, so SS_tot = 5 - 6 * 0.25
    assert m["rmse"] == pytest.approx(np.sqrt(2.25 / 6))
    assert m["mae"] == pytest.approx(2.5 / 6)
    assert m["r2"] == pytest.approx(1 - 2.25 / 3.5)
    assert m["max_error"] == 1.0
    assert m["direction"]["angle_mean_deg"] == pytest.approx(45.0)
    assert m["direction"]["cosine_mean"] == pytest.approx(0.5)
    assert m["magnitude"]["bias"] == pytest.approx(0.25)
    assert m["magnitude"]["mae"] == pytest.approx(0.25)
    assert m["rmse_vector"] == pytest.approx(np.sqrt((2 + 0.25) / 2))
    assert m["error_percentiles"]["vector"]["50"] == pytest.approx((np.sqrt(2) + 0.5) / 2)
    assert m["components"]["z"]["rmse"] == 0.0
    assert np.isnan(m["components"]["z"]["r2"])


@pytest.mark.parametrize("degrees", [1e-5, 0.01, 1.0, 89.0, 120.0, 179.999])
def test_angle_of_rotated_forces(degrees):
    forces = RNG.normal(size=(20, 3))
    axis = np.cross(forces, RNG.normal(size=(20, 3)))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    # a rotation about an axis at right angles turns the vector by exactly that angle
    turned = Rotation.from_rotvec(np.radians(degrees) * axis).apply(forces)
    assert angular_errors(forces, 3.0 * turned) == pytest.approx(degrees, rel=1e-6)


def test_angle_of_zero_prediction_is_ninety():
    assert angular_errors(np.array([[1.0, 0, 0]]), np.zeros((1, 3))) == 90.0


def test_small_forces_have_no_direction():
    reference = np.array([[0.04, 0.0, 0.0], [1.0, 0.0, 0.0]])
    predicted = np.array([[-0.04, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert force_metrics(reference, predicted)["direction"]["angle_mean_deg"] == 0.0
    assert force_metrics(reference, predicted, 0.01)["direction"]["angle_mean_deg"] == 90.0


def test_r2_of_constant_data_is_undefined():
    assert np.isnan(r2(np.zeros(4), np.ones(4)))


def test_relative_energies_forget_each_molecules_offset():
    names = ("a", "a", "b", "b", "alone")
    n_atoms = np.array([4, 4, 10, 10, 2])
    reference = RNG.normal(size=5)
    offset = np.array([8.0, 8.0, -30.0, -30.0, 7.0])
    m = energy_metrics(reference, reference + offset, n_atoms, names)
    assert m["mae_per_atom"] == pytest.approx((2 + 2 + 3 + 3 + 3.5) / 5)
    assert m["relative_mae_per_atom"] == pytest.approx(0.0, abs=1e-12)
    assert m["relative_frames"] == 4


def test_tables_agree_with_plain_loops():
    p = some_predictions()
    m = compute_metrics(p, threshold=0.5)
    error = p.forces_pred - p.forces_ref
    for z, symbol in ((1, "H"), (6, "C"), (8, "O")):
        of_z = p.numbers == z
        if not of_z.any():
            assert symbol not in m["per_element"]
            continue
        expected = force_metrics(p.forces_ref[of_z], p.forces_pred[of_z], 0.5)
        row = m["per_element"][symbol]
        assert row["atoms"] == of_z.sum()
        for key in ("rmse", "mae", "r2", "max_error", "mean_reference_force"):
            assert row[key] == pytest.approx(expected[key])
        assert row["angle_mean_deg"] == pytest.approx(
            expected["direction"]["angle_mean_deg"], nan_ok=True
        )
    start = 0
    squares = {"a": [], "b": []}
    for name, n in zip(p.names, p.n_atoms, strict=True):
        squares[name].append(error[start : start + n].ravel() ** 2)
        start += n
    for name, parts in squares.items():
        assert m["per_molecule"][name]["rmse"] == pytest.approx(
            np.sqrt(np.concatenate(parts).mean())
        )
    assert m["per_molecule"]["a"]["frames"] == 3
    assert m["per_temperature"]["300.0 K"]["frames"] == 2
    assert m["per_temperature"]["unknown"]["frames"] == 1
    assert m["per_source"]["md"]["frames"] == 3
    assert m["force_rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert "per_atom" not in m


def test_per_atom_table_of_one_molecule():
    p = some_predictions(names=("a", "a"), sizes=(4, 4))
    rows = compute_metrics(p)["per_atom"]
    error = (p.forces_pred - p.forces_ref).reshape(2, 4, 3)
    assert len(rows) == 4
    assert [row["rmse"] for row in rows.values()] == pytest.approx(
        np.sqrt((error**2).mean((0, 2))).tolist()
    )


def test_perfect_prediction():
    m = compute_metrics(some_predictions(noise=0.0))
    assert (m["force_rmse"], m["force_r2"], m["angular_error_deg"]) == (0.0, 1.0, 0.0)
    assert m["energy_mae_per_atom"] == 0.0
