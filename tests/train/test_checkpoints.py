"""Checkpoints: whole or not there; a damaged one is a sentence, and runs no code."""

import os
import pickle
import random
from pathlib import Path

import pytest
import torch

from distill.errors import DistillError
from distill.train.checkpoints import WholeCheckpointIO, read_checkpoint
from tests.small_disk import files_of_at_most


def state(seed: int) -> dict[str, object]:
    torch.manual_seed(seed)
    ours = {"settings": {}, "steps_done": seed, "seconds_done": 0.5, "average": torch.randn(60, 60)}
    return {"distill": ours, "state_dict": {"w": torch.randn(50)}}


def test_the_checkpoint_before_stays_on_a_full_disk(tmp_path: Path) -> None:
    path, writer = tmp_path / "run" / "last.ckpt", WholeCheckpointIO()
    writer.save_checkpoint(state(1), path)
    with (
        files_of_at_most(5000),
        pytest.raises(DistillError, match=f"Cannot write {path}: .*--resume.*is kept"),
    ):
        writer.save_checkpoint(state(2), path)
    assert writer.load_checkpoint(path)["distill"]["steps_done"] == 1
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_nothing_goes_through_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")  # where nothing can be made
    WholeCheckpointIO().save_checkpoint(state(1), tmp_path / "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt")["distill"]["steps_done"] == 1


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(state(1), path)
    content, wanted = path.read_bytes(), read_checkpoint(path)["distill"]["average"]
    refused = 0
    for seed in range(150):
        draw = random.Random(seed)
        changed = bytearray(content)
        if seed % 5 == 0:
            changed = changed[: draw.randrange(len(content))]
        for _ in range(draw.choice([1, 1, 3]) if seed % 5 else 0):
            changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            assert torch.equal(read_checkpoint(path)["distill"]["average"], wanted)
        except DistillError as error:
            assert "delete it" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 120


class Bomb:
    """Tells on whoever unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("checkpoint-was-run",)


def test_no_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.ckpt"
    torch.save({**state(1), "callbacks": Bomb()}, path)
    with pytest.raises(DistillError, match="cannot be read"):
        WholeCheckpointIO().load_checkpoint(path, weights_only=False)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DistillError, match="cannot be read"):
        read_checkpoint(path)
    torch.save({"state_dict": {}}, path)  # another program's
    with pytest.raises(DistillError, match="cannot be read"):
        read_checkpoint(path)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
