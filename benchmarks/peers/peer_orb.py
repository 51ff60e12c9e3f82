"""Orb-v2 in orb-models, with random weights. Its forces are predicted, not derived.

Variants: ``eager``, ``compile`` (torch.compile).
"""

import common


def build(variant: str, threads: int) -> common.Potential:
    """The calculator of orb-models' own."""
    common.set_torch_threads(threads)
    import torch
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.atomic_system import SystemConfig
    from orb_models.forcefield.calculator import ORBCalculator

    torch.manual_seed(0)
    config = SystemConfig(radius=6.0, max_num_neighbors=20)
    model = pretrained.orb_v2_architecture(device="cpu", system_config=config)
    model = model.to(torch.float32).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if variant == "compile":
        model.compile(mode="default", dynamic=True)  # as orb-models' own loader does
    return common.Potential(
        common.through_ase(ORBCalculator(model, device="cpu")),
        through="orb-models' ASE calculator",
        packages=("orb-models", "torch"),
        model="Orb-v2, cutoff 6 Å, 20 neighbours",
        weights="random",
        note="forces are predicted directly: no backward pass",
        parameters=common.count(model),
    )


if __name__ == "__main__":
    common.main(build)
