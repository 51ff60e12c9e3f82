"""MACE of the size of MACE-OFF23 (small) in mace-torch, with random weights.

Variants: ``eager``, ``script`` (TorchScript), ``compile`` (torch.compile).
"""

from pathlib import Path
from typing import Any

import common

MODEL = "MACE 96x0e, 2 layers, l=3, correlation 3, cutoff 4.5 Å"
ELEMENTS = [1, 6, 7, 8, 9, 15, 16, 17, 35, 53]


def small_model() -> Any:
    """694,320 parameters, as many as MACE-OFF23 (small) has."""
    # before e3nn, so that e3nn's constants load with torch 2.6 and later
    import mace  # noqa: F401
    import numpy as np
    import torch
    from e3nn import o3
    from mace import modules

    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    blocks = modules.interaction_classes
    return modules.ScaleShiftMACE(
        r_max=4.5,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=len(ELEMENTS),
        hidden_irreps=o3.Irreps("96x0e"),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(ELEMENTS)),
        avg_num_neighbors=12.0,
        atomic_numbers=ELEMENTS,
        correlation=3,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def save(path: Path) -> None:
    """The model as a file for converters."""
    import torch

    torch.save(small_model(), path)


def build(variant: str, threads: int) -> common.Potential:
    """The calculator of mace-torch's own."""
    common.set_torch_threads(threads)
    model = small_model()
    parameters = common.count(model)
    from e3nn.util import jit
    from mace.calculators import MACECalculator

    if variant == "script":
        model = jit.compile(model)
    calculator = MACECalculator(
        models=[model],
        device="cpu",
        default_dtype="float32",
        compile_mode="default" if variant == "compile" else None,
    )
    return common.Potential(
        common.through_ase(calculator),
        through="mace-torch's ASE calculator",
        packages=("mace-torch", "e3nn", "torch"),
        model=MODEL,
        weights="random",
        note="" if variant == "compile" else "computes the stress too, as its calculator does",
        parameters=parameters,
    )


if __name__ == "__main__":
    common.main(build)
