"""The recipe of the shipped students, with one molecule of each set and a few steps."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from distill.pretrained import recipe
from distill.pretrained.make import main
from distill.student import load_student


def brief(part: recipe.Part) -> recipe.Part:
    """The teacher's MD, where it is the teacher's, for a few steps only."""
    if part.sampling.md != "teacher":
        return part
    few = {"frames": 4, "conformers": 1, "equilibration": 5, "steps_between": 5}
    return replace(part, sampling=replace(part.sampling, **few))


@pytest.mark.slow
def test_a_small_budget_runs_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TEST", "DRUG"):
        parts = tuple(brief(part) for part in getattr(recipe, name))
        monkeypatch.setattr(recipe, name, parts)
    command = ["make", "-o", str(tmp_path), "--molecules", "1", "--workers", "0"]
    monkeypatch.setattr("sys.argv", [*command, "--size", "ultra-tiny", "--steps", "30"])
    main()
    student = load_student(tmp_path / "ultra-tiny.safetensors")
    card = student.card
    assert card["teacher"]["name"] == "gfn2-xtb"
    assert card["training"]["steps"] == 30 + 7 + 26 + 7 and card["training"]["seed"] == 0
    assert card["training_set"]["ions"] == "1 molecules, 30 geometries"
    report = json.loads((tmp_path / "held-out-ultra-tiny" / "report.json").read_text())
    assert card["held_out"]["force_rmse"] == report["force_rmse"] > 0
    assert set(card["held_out"]["force_rmse_by_source"]) == {"mmff94-md", "teacher-md"}
    assert student.latent is not None
    assert card["energies"]["molecules"] == 1 and card["energies"]["relaxed"] > 0

    # a second call finds all of it, and trains on where more steps are asked for
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", [*command, "--size", "ultra-tiny", "--steps", "60"])
    main()
    trained = load_student(tmp_path / "ultra-tiny.safetensors").card["training"]
    assert trained["steps"] == 60 + 14 + 53 + 14

    # --judge looks at the test set again, and leaves the weights as they are
    monkeypatch.setattr("sys.argv", [*command, "--size", "ultra-tiny", "--judge"])
    before = load_student(tmp_path / "ultra-tiny.safetensors")
    main()
    after = load_student(tmp_path / "ultra-tiny.safetensors")
    for key in ("force_rmse", "force_mae", "force_r2"):
        assert after.card["held_out"][key] == pytest.approx(before.card["held_out"][key])
    for name, x in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], x)
