"""Training as one function: graphs in, student out, with a log, a curve and checkpoints."""

import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from distill.errors import DistillError
from distill.student.student import Student
from distill.train.checkpoints import WholeCheckpointIO, read_checkpoint
from distill.train.config import TrainConfig
from distill.train.curve import plot_curve
from distill.train.device import resolve_device
from distill.train.graphs import Graph, reference_energies
from distill.train.metrics_log import MetricsLog
from distill.train.module import Distillation
from distill.train.progress import TrainProgress, tell
from distill.whole import check_writable, sweep


def fit_reference(student: Student, graphs: Sequence[Graph]) -> None:
    """Sets the reference energies to the least-squares fit of the graphs' energies."""
    reference = reference_energies(graphs, student.config.elements)
    student.reference.copy_(torch.from_numpy(reference))


def train(
    student: Student,
    train_graphs: Sequence[Graph],
    valid_graphs: Sequence[Graph],
    out: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> Student:
    """Trains ``student`` in place and returns it with averaged weights.

    ``out`` receives metrics.csv, curve.png and last.ckpt; with ``resume`` the run goes on from
    out/last.ckpt exactly where that was written. With ``config.decay`` below 1 there is also
    plateau.ckpt, the last before the learning rate fell, from which a run with a larger budget
    goes on. The student's reference energies must be set
    (:func:`fit_reference`).
    """
    if not train_graphs:
        raise DistillError("There is nothing to train on: the dataset has no labelled geometry.")
    checkpoint = out / "last.ckpt"
    if resume and not checkpoint.is_file():
        raise DistillError(f"There is no {checkpoint} to resume from; start without --resume.")
    if checkpoint.is_file() and not resume:
        raise DistillError(
            f"{out} holds another training run; use --resume to go on with it, or another folder."
        )
    config = resolve_device(config)
    check_writable(out)
    student.train().requires_grad_(True)
    student.latent = None  # it belongs to the old weights
    L.seed_everything(config.seed, verbose=False)
    steps_before = 0
    if resume:
        checkpoint = where_to_resume(checkpoint, out / "plateau.ckpt", config)
        steps_before = check_resumable(checkpoint, config)
    module = Distillation(student, config, train_graphs, valid_graphs)
    logger = MetricsLog(out / "metrics.csv", steps_before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = L.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            max_epochs=-1,
            max_steps=-1,
            logger=logger,
            plugins=[WholeCheckpointIO()],
            callbacks=[
                ModelCheckpoint(
                    out,
                    filename="last",
                    every_n_epochs=1,
                    save_top_k=1,
                    enable_version_counter=False,
                    save_on_train_epoch_end=True,
                ),
                Plateau(out / "plateau.ckpt"),
                *([TrainProgress()] if progress else []),
                *callbacks,
            ],  # fmt: skip
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,  # the module shares the batches out itself
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        if trainer.is_global_zero:
            for written in (checkpoint, out / "plateau.ckpt", out / "metrics.csv"):
                sweep(written)
        handler = signal.getsignal(signal.SIGINT)
        threads = torch.get_num_threads()
        try:
            trainer.fit(module, ckpt_path=str(checkpoint) if resume else None)
        except SystemExit:
            if trainer.interrupted:  # on Ctrl-C Lightning goes deaf to it, and ends the program
                signal.signal(signal.SIGINT, handler)
                raise KeyboardInterrupt from None
            raise
        finally:
            torch.set_num_threads(threads)  # the kernel's training leaves torch one
    result = module.result()
    if trainer.is_global_zero:
        try:
            plot_curve(out / "metrics.csv", out / "curve.png")
        except Exception as error:  # a picture must not cost the student
            tell(f"The learning curve could not be drawn: {error}")
    return result


class Plateau(Callback):
    """Writes a checkpoint after each epoch at whose end the learning rate has not begun to fall."""

    def __init__(self, file: Path):
        self.file = file

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Distillation)
        if pl_module.options.falling(pl_module.progress()) == 0.0:
            trainer.save_checkpoint(self.file)


def where_to_resume(last: Path, plateau: Path, config: TrainConfig) -> Path:
    """``last``, unless the learning rate has begun to fall there and should not have yet."""
    state = progress_of(last)
    progress = config.progress(int(state["steps_done"]), float(state["seconds_done"]))
    too_early = float(state.get("falling", 0.0)) > config.falling(progress) == 0.0
    return plateau if too_early and plateau.is_file() else last


def check_resumable(checkpoint: Path, config: TrainConfig) -> int:
    """Steps done in a checkpoint; refuses one of other settings, naming the first that differs."""
    state = progress_of(checkpoint)
    settings = state["settings"]
    for key, value in config.fingerprint().items():
        was = settings.get(key, getattr(TrainConfig, key))  # older files lack the younger settings
        if was != value:
            raise DistillError(
                f"{checkpoint} was made with {key} = {was}, not {value}; "
                f"resume with the same settings, or start in another folder."
            )
    return int(state["steps_done"])


def progress_of(checkpoint: Path) -> dict[str, Any]:
    """``steps_done``, ``seconds_done``, ``settings`` and more of ours, from a checkpoint."""
    found: dict[str, Any] = read_checkpoint(checkpoint)["distill"]
    return found
