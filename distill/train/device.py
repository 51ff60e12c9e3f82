"""What trains: a setting that cannot be had is refused before there is a student to lose."""

import os
from dataclasses import replace

import torch

from distill.errors import DistillError
from distill.train.config import TrainConfig
from distill.train.step import can_compile, use_kernel


def resolve_device(config: TrainConfig) -> TrainConfig:
    """The same settings with "cpu" or "gpu" for the accelerator.

    Raises DistillError for a GPU where there is none, for more devices than there are, and for a
    backend that does not run here.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    accelerator = {"cuda": "gpu", "auto": "gpu" if gpus else "cpu"}.get(
        config.accelerator, config.accelerator
    )
    if accelerator == "gpu" and not gpus:
        raise DistillError(
            f"--accelerator {config.accelerator}: torch finds no GPU with CUDA here; use "
            "--accelerator cpu, or install a torch that knows the GPU."
        )
    cores = os.cpu_count() or 1
    there, what = (gpus, "GPU(s)") if accelerator == "gpu" else (cores, "core(s)")
    # processes that share a core are slow, but train
    if config.devices > (gpus if accelerator == "gpu" else 4 * cores):
        raise DistillError(
            f"--devices is {config.devices}, but this machine has {there} {what}; give {there} or "
            "fewer."
        )
    use_kernel(config.backend, accelerator)  # refuses the kernel where it cannot be had
    if config.backend == "compiled" and not can_compile():
        raise DistillError(
            "--backend compiled needs a C++ compiler (g++ or clang++) on the PATH; install one, "
            "or use --backend auto."
        )
    return replace(config, accelerator=accelerator)
