"""``distill bench``: its systems, its count of operations, its rows. Timings prove nothing here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from distill.bench.engines import Case, engines, make
from distill.bench.measure import NO_DEVICE, measure, measure_apart, peak_memory_mb
from distill.bench.roofline import dense_products, flops_per_atom, least_ms, peaks
from distill.bench.systems import system
from distill.cli import app
from distill.student import SIZES, load_student
from distill.student.neighbours import neighbour_list


@pytest.mark.parametrize(("n", "least", "most"), [(20, 20, 20), (50, 50, 50), (1000, 900, 1100)])
def test_systems(n: int, least: int, most: int) -> None:
    atoms = system(n)
    assert least <= len(atoms) <= most
    assert neighbor_list("d", atoms, 2.5).min() > 0.9
    if n > 50:
        density = atoms.get_masses().sum() * 1.66054 / atoms.get_volume()  # g/cm3
        assert density == pytest.approx(0.79, abs=0.01)
        apart = neighbor_list("ij", atoms, 1.6)  # no bonds between molecules
        assert (apart[0] // 6 == apart[1] // 6).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_count_of_dense_layers_is_torchs(size: str) -> None:
    student, atoms = load_student(size), system(20)
    edges, shift = neighbour_list(atoms.positions, None, False, student.cutoff)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        student.atomic_energies(
            torch.tensor(atoms.positions), torch.tensor(atoms.numbers), torch.tensor(edges),
            torch.tensor(shift),
        )  # fmt: skip
    config = student.config
    f, pairs, n = config.hidden, edges.shape[1], len(atoms)
    filters = sum((3 if k else 2) * f * config.n_radial for k in range(config.layers)) * pairs
    first_message = n * (f * f + 2 * f * f)
    ours = n * dense_products(config) + filters + first_message
    assert counter.get_total_flops() == 2 * ours


@pytest.mark.slow
def test_the_roofline_grows_with_the_work() -> None:
    peak = {"gemm_gflops": 100.0, "triad_gb_per_s": 10.0}
    tiny, original = SIZES["tiny"], SIZES["original"]
    assert flops_per_atom(tiny, 40) > flops_per_atom(tiny, 20)
    assert least_ms(original, 50, 20, peak, 1) > least_ms(tiny, 50, 20, peak, 1)
    assert least_ms(tiny, 50, 20, peak, 2) == least_ms(tiny, 50, 20, peak, 1) / 2
    assert all(value > 0.1 for value in peaks(0.05).values())


@pytest.mark.parametrize("engine", sorted(engines()))
def test_every_engine_moves_the_atoms(engine: str) -> None:
    steps = make(Case(engine, "ultra-tiny", 20), load_student("ultra-tiny"), system(20))
    steps(2)


def test_a_row_is_complete() -> None:
    peak = {"gemm_gflops": 50.0, "triad_gb_per_s": 5.0}
    row = measure(Case("kernel", "ultra-tiny", 20), peak, 0.05)
    assert row["least"] <= row["ms_per_step"] <= row["most"]
    assert row["ns_per_day"] == pytest.approx(86.4 / row["ms_per_step"])
    assert np.isfinite(row["times_roofline"]) and row["peak_memory_mb"] > 10
    assert (row["backend"], row["precision"]) == ("kernel", "float32")
    if not torch.cuda.is_available():
        assert measure(Case("ase", "tiny", 20, device="cuda"), peak, 0.05)["note"] == NO_DEVICE


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(app, ["bench", "-o", str(out), "--quick"])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert {"date", "machine", "versions", "peaks", "rows"} <= set(found)
    assert {(r["engine"], r["atoms"]) for r in found["rows"]} == {
        ("kernel", 20), ("torch", 20), ("kernel", 50), ("torch", 50),
    }  # fmt: skip
    assert out.with_suffix(".png").stat().st_size > 5000
    again = CliRunner().invoke(app, ["bench", "-o", str(out), "--quick"])
    assert again.exit_code == 2 and "--force" in again.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--engines", "namd"], "no engine 'namd'; choose from ase"),
        (["--sizes", "huge"], "No student file at huge"),
        (["--atoms", "many"], "whole numbers, like 20,50"),
        (["--atoms", "3"], "too few to measure"),
        (["--threads", "0"], "whole numbers"),
        (["--threads", "2", "--atoms", "50"], "Nothing is left to measure"),
        (["--atoms", "200,3"], "too few to measure"),
        (["--dtype", "float16"], "use float32 or float64"),
        (["--device", "tpu"], "use cpu or cuda"),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], sentence: str) -> None:
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(app, ["bench", "-o", str(out), *options])
    assert result.exit_code == 2 and not out.exists()
    assert sentence in " ".join(result.stderr.split())


def test_peak_memory_is_the_childs_own(tmp_path: Path) -> None:
    held = np.ones(80_000_000)  # 640 MB of the parent's
    case = Case("kernel", "ultra-tiny", 20)
    row = measure_apart(case, {"gemm_gflops": 50.0, "triad_gb_per_s": 5.0}, 0.05)
    assert held.nbytes > 6e8 and row["peak_memory_mb"] < peak_memory_mb() - 400


@pytest.mark.slow
def test_bench_in_water(tmp_path: Path) -> None:
    """Rows of the force field alone and of a student, in the same box."""
    out = tmp_path / "wet.json"
    command = ["bench", "--solvent", "-o", str(out), "--atoms", "1600", "--sizes", "ultra-tiny"]
    result = CliRunner().invoke(app, [*command, "--seconds", "0.1", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    alone, student = json.loads(out.read_text())["rows"]
    assert (alone["size"], student["size"]) == ("none", "ultra-tiny")
    assert alone["atoms"] == student["atoms"] == pytest.approx(1600, rel=0.15)
    for row in (alone, student):
        assert row["ns_per_day"] == pytest.approx(172.8 / row["ms_per_step"])
    assert "added_percent" in student and "added_percent" not in alone
