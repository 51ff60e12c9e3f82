"""ANI-2x in torchani, with random weights: the trained ones are no part of the package.

Variants: ``eager`` and ``script`` (the eight networks that ANI-2x is), ``one`` (one of them, as
TorchScript).
"""

import common


def build(variant: str, threads: int) -> common.Potential:
    """The calculator of torchani's own."""
    common.set_torch_threads(threads)
    import torch
    from torchani.arch import Assembler
    from torchani.utils import SYMBOLS_2X

    torch.manual_seed(0)
    # as torchani.models.ANI2x does it, without its download
    assembler = Assembler(periodic_table_index=True)
    assembler.set_symbols(SYMBOLS_2X)
    assembler.set_global_cutoff_fn("cosine")
    assembler.set_aev_computer(radial="ani2x", angular="ani2x", strategy="pyaev")
    assembler.set_atomic_networks(ctor="ani2x")
    assembler.set_neighborlist("all_pairs")
    assembler.set_gsaes_as_self_energies("wb97x-631gd")
    model = assembler.assemble(8)
    if variant == "one":
        model = model[0]
    model.requires_grad_(False)
    model.to(dtype=torch.float32)
    return common.Potential(
        common.through_ase(model.ase(jit=variant != "eager")),
        through="torchani's ASE calculator",
        packages=("torchani", "torch"),
        model="ANI-2x, one network" if variant == "one" else "ANI-2x, 8 networks",
        weights="random",
        note="all pairs searched on every call, as ANI-2x does by default",
        parameters=common.count(model),
    )


if __name__ == "__main__":
    common.main(build)
