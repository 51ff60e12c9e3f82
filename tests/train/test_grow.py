"""Datasets that grow while they are trained on."""

from pathlib import Path

import pytest
import torch

from distill.data.dataset import MoleculeData, TeacherRecord, write
from distill.student import Student, load_student
from distill.train.config import TrainConfig
from distill.train.graphs import Graph
from distill.train.grow import Grow, Growing
from distill.train.module import Distillation
from distill.train.step import parameters_of
from distill.train.train import train

XTB = TeacherRecord("gfn2-xtb", "tblite", True)


def test_only_what_is_new_is_read(methanol: MoleculeData, student: Student, tmp_path: Path) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    data = Growing(lambda: paths, student, holdout=10)
    assert data.poll() == 0
    write(paths[0], XTB, [methanol])
    assert data.poll() == 40 and len(data.valid) == 4
    assert data.poll() == 0
    write(paths[0], XTB, [methanol])
    write(paths[1], XTB, [methanol])
    assert data.poll() == 80 and len(data) == 120
    assert [g.energy for g in data.valid[:2]] == [methanol.energy[4], methanol.energy[14]]


@pytest.mark.slow
def test_the_student_handed_out_is_the_averaged_one(
    methanol: MoleculeData, student: Student, tmp_path: Path
) -> None:
    write(tmp_path / "a.h5", XTB, [methanol])
    data = Growing(lambda: [tmp_path / "a.h5"], student)
    data.poll()
    config = TrainConfig(steps=4, steps_per_epoch=2, backend="eager")
    latest = tmp_path / "latest.safetensors"
    seen: list[Graph] = list(data.train)

    class Watch(Grow):
        def on_train_epoch_end(self, trainer, pl_module) -> None:  # type: ignore[no-untyped-def]
            assert isinstance(pl_module, Distillation)
            before = [p.detach().clone() for p in parameters_of(pl_module.student)]
            write(tmp_path / "a.h5", XTB, [methanol])
            super().on_train_epoch_end(trainer, pl_module)
            in_use = sum(float(b.molecule_weight.sum()) for b in pl_module.valid_batches)
            assert in_use == len(data.valid)  # new validation geometries are taken in
            after = parameters_of(pl_module.student)
            assert all(torch.equal(a, b) for a, b in zip(before, after))
            handed = parameters_of(load_student(latest))
            assert all(torch.equal(a, b) for a, b in zip(handed, pl_module.average))

    trained = train(
        student, data.train, data.valid, tmp_path / "t", config, progress=False,
        callbacks=[Watch(data, latest)],
    )  # fmt: skip
    assert len(data) == 120 and data.train[: len(seen)] == seen
    final = parameters_of(load_student(latest))
    assert all(torch.equal(a, b) for a, b in zip(final, parameters_of(trained)))
