"""A progress bar that knows the time budget."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from distill.train.module import Distillation


@rank_zero_only
def tell(sentence: str) -> None:
    """A line for the user, from the first of the processes that train together."""
    Console(stderr=True).print(sentence, style="yellow", highlight=False, markup=False)


class TrainProgress(Callback):
    """Shows the share of the budget spent, the step, the force errors and the time left."""

    def __init__(self) -> None:
        self.bar: Progress | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        self.bar.start()
        self.task = self.bar.add_task("Training (compiling the step)", total=1.0, status="")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        if self.bar is not None and isinstance(pl_module, Distillation):
            self.bar.update(
                self.task,
                completed=min(1.0, pl_module.progress()),
                description="Training",
                status=self.status(trainer, pl_module.steps_done),
            )

    @staticmethod
    def status(trainer: L.Trainer, steps: int) -> str:
        metrics = trainer.callback_metrics
        parts = [f"step {steps}"]
        for name in ("train", "valid"):
            if f"{name}_force_rmse" in metrics:
                parts.append(f"{name} {float(metrics[f'{name}_force_rmse']):.3f} eV/Å")
        return ", ".join(parts)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self.close()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
