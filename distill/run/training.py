"""What both ways of training in a run have in common: settings, and what the card says."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.run.job import Job
from distill.run.labels import label_files, teacher_of
from distill.train.config import LEARNING_RATES, TrainConfig
from distill.train.train import progress_of

TRAIN_END = 0.85
"""The share of the budget at which training ends."""


def config_for(job: Job, minutes: float, folder: Path) -> TrainConfig:
    """Of a training in ``folder`` that has so many minutes from now on."""
    checkpoint = folder / "last.ckpt"
    before = progress_of(checkpoint)["seconds_done"] / 60.0 if checkpoint.is_file() else 0.0
    return TrainConfig(
        minutes=minutes + before,
        seed=job.settings.seed,
        learning_rate=LEARNING_RATES[job.settings.size],
        steps_per_epoch=100,
        max_valid=40,
    )


def minutes_until(job: Job, share: float) -> float:
    """From now to a share of the budget, or what is the least that makes sense."""
    return max((share * job.clock.budget - job.clock.spent()) / 60.0, 0.02)


def card(job: Job, labels: int, origin: str) -> dict[str, Any]:
    """What the student's file says of its making; the errors come later."""
    molecules = job.series.molecules
    return {
        "teacher": asdict(teacher_of(label_files(job.folder))),
        "training_set": {
            "molecules": [molecule.smiles or molecule.name for molecule in molecules],
            "geometries": labels,
            "started_from": origin,
        },
        "charges": sorted({molecule.charge for molecule in molecules}),
        "held_out": {},
    }
