"""Sums over edges in an ONNX graph, as gathering and adding instead of scattering.

The exporter writes them as ScatterND with reduction "add". ONNX Runtime (1.32) adds its rows on
several threads at once, and loses some where rows meet: forces are off by 0.1 eV/Å, in each call by
another amount. Its ScatterElements does not, but takes half of the whole time. So the edges of each
atom are looked up once, as a row of a matrix filled up with an edge that counts nothing.
"""

from typing import Any

import numpy as np


def gather_edge_sums(model: Any) -> None:
    """Replaces every ScatterND of ``model`` whose rows are those of ``edge_index``."""
    import onnx

    graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    maker = {name: node for node in graph.node for name in node.output}
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer} | {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    before, graph_nodes = list(graph.node), _Nodes(graph)
    matrices: dict[int, str] = {}
    for node in before:
        if node.op_type != "ScatterND":
            graph_nodes.add(node)
            continue
        assert [a.s for a in node.attribute if a.name == "reduction"] == [b"add"]
        data, indices, updates = node.input
        row, ends = _ends(maker, constants, indices)
        if row not in matrices:
            matrices[row] = _edges_of_atoms(graph_nodes, f"edges_{row}", ends, data)
        _sum(graph_nodes, node, matrices[row], ranks[updates])
    del graph.node[:]
    graph.node.extend(graph_nodes.nodes)


class _Nodes:
    """The nodes of a graph in the making."""

    def __init__(self, graph: Any):
        self.graph = graph
        self.nodes: list[Any] = []

    def add(self, node: Any) -> None:
        self.nodes.append(node)

    def make(self, kind: str, name: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """A node; the name of its last output."""
        import onnx

        names = [f"{name}_{k}" for k in range(outputs - 1)] + [name]
        self.add(onnx.helper.make_node(kind, inputs, names, name=name, **attributes))
        return name

    def whole(self, name: str, *values: int) -> str:
        """A constant vector (int64)."""
        import onnx

        if all(tensor.name != name for tensor in self.graph.initializer):
            array = np.array(values, dtype=np.int64)
            self.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        return name


def _ends(maker: dict[str, Any], constants: dict[str, Any], indices: str) -> tuple[int, str]:
    """Which row of edge_index the indices (E, 1) are, and the name of that row, (E,)."""
    node = maker[indices]
    while node.op_type in ("Concat", "Unsqueeze", "Identity", "Cast"):
        node = maker[node.input[0]]
    assert node.op_type == "Gather" and node.input[0] == "edge_index"
    return int(constants[node.input[1]]), node.output[0]


def _edges_of_atoms(nodes: _Nodes, name: str, ends: str, data: str) -> str:
    """A matrix (N, K) of the edges that end at each atom, filled up with E, which is no edge.

    ends: (E,) the atoms. data: anything with N rows. One edge more, E, ends at an atom more, N: so
    nothing is ever empty.
    """
    make = nodes.make
    zero, one, minus = nodes.whole("zero", 0), nodes.whole("one", 1), nodes.whole("minus_one", -1)
    scalar_zero = make("Squeeze", f"{name}_scalar_zero", zero)
    scalar_one = make("Squeeze", f"{name}_scalar_one", one)
    atoms = make("Slice", f"{name}_atoms", make("Shape", f"{name}_shape", data), zero, one)
    edges = make("Shape", f"{name}_edges", ends)
    more_atoms = make("Add", f"{name}_more_atoms", atoms, one)
    more_edges = make("Add", f"{name}_more_edges", edges, one)
    padded = make("Concat", f"{name}_padded", ends, atoms, axis=0)
    # the edges in the order of their atoms
    order = make(
        "TopK", f"{name}_order", padded, more_edges, outputs=2, axis=0, largest=0, sorted=1
    )
    sorted_ends = f"{order}_0"
    ones = make("Expand", f"{name}_ones", one, more_edges)
    zeros = make("Expand", f"{name}_zeros", zero, more_atoms)
    counts = make("ScatterElements", f"{name}_counts", zeros, padded, ones, axis=0, reduction="add")
    starts = make("CumSum", f"{name}_starts", counts, scalar_zero, exclusive=1)
    width = make("ReduceMax", f"{name}_width", counts, keepdims=1)
    # where each goes: its atom's row, and its place among the atom's edges
    limit = make("Squeeze", f"{name}_limit", more_edges)
    positions = make("Range", f"{name}_range", scalar_zero, limit, scalar_one)
    start = make("Gather", f"{name}_start", starts, sorted_ends, axis=0)
    place = make("Sub", f"{name}_place", positions, start)
    row = make("Mul", f"{name}_row", sorted_ends, width)
    flat = make("Add", f"{name}_flat", row, place)
    room = make("Mul", f"{name}_room", more_atoms, width)
    empty = make("Expand", f"{name}_empty", edges, room)
    filled = make("ScatterElements", f"{name}_filled", empty, flat, order, axis=0)
    shape = make("Concat", f"{name}_matrix_shape", minus, width, axis=0)
    matrix = make("Reshape", f"{name}_with_one_more", filled, shape)
    return make("Slice", f"{name}_matrix", matrix, zero, atoms)


def _sum(nodes: _Nodes, scatter: Any, matrix: str, rank: int) -> None:
    """The nodes in place of a ScatterND: data + the sum of each atom's rows of updates (E, ...)."""
    make, name = nodes.make, scatter.name or scatter.output[0]
    data, _, updates = scatter.input
    one = nodes.whole("one", 1)
    shape = make("Shape", f"{name}_shape", updates)
    if rank > 1:
        rest = make("Slice", f"{name}_rest", shape, one, nodes.whole("many", 1 << 60))
        shape = make("Concat", f"{name}_row_shape", one, rest, axis=0)
    else:
        shape = one
    nothing = make("ConstantOfShape", f"{name}_nothing", shape)
    padded = make("Concat", f"{name}_padded", updates, nothing, axis=0)
    rows = make("Gather", f"{name}_rows", padded, matrix, axis=0)
    total = make("ReduceSum", f"{name}_sum", rows, one, keepdims=0)
    import onnx

    nodes.add(onnx.helper.make_node("Add", [data, total], list(scatter.output), name=name))
