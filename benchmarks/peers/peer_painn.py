"""PaiNN as published, in graph-pes, at the sizes of our students and with random weights.

Variants: ``HIDDENxLAYERS`` and ``HIDDENxLAYERS-script`` (TorchScript).
"""

import common


def build(variant: str, threads: int) -> common.Potential:
    """The calculator of graph-pes's own."""
    common.set_torch_threads(threads)
    import torch
    from graph_pes.models import PaiNN
    from graph_pes.utils.calculator import GraphPESCalculator

    torch.manual_seed(0)
    size, _, kind = variant.partition("-")
    hidden, layers = (int(part) for part in size.split("x"))
    model = PaiNN(channels=hidden, radial_features=20, layers=layers, cutoff=5.0)
    # creates the parameters of the elements, which are made on first sight
    calculator = GraphPESCalculator(model, skin=1.0)
    call = common.through_ase(calculator)
    _, positions = common.molecule()
    call(positions)
    parameters = common.count(model)
    if kind == "script":
        torch.jit.export(type(model).predict)  # scripted for its LAMMPS interface only
        scripted = torch.jit.script(model)
        scripted.device = torch.device("cpu")  # a property, which TorchScript leaves out
        call = common.through_ase(GraphPESCalculator(scripted, skin=1.0))
    return common.Potential(
        call,
        through="graph-pes's ASE calculator",
        packages=("graph-pes", "torch"),
        model=f"PaiNN {hidden} x {layers}, cutoff 5 Å, 20 radial functions",
        weights="random",
        note="neighbour list with a skin of 1 Å",
        parameters=parameters,
    )


if __name__ == "__main__":
    common.main(build)
