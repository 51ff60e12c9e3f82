"""One evaluation of a student: arrays of fixed size, and the kernels to launch on them in order."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill.errors import DistillError
from distill.kernels.cuda import dense, message, pairs
from distill.kernels.cuda.weights import Weights

PRECISIONS = ("ieee", "tf32x3")
"""How dense layers multiply: float32 itself, or three TF32 products on the tensor cores."""

ATOMS = 16
"""Atoms that a dense program takes; the least side of a dot product."""


@dataclass
class Launch:
    """One kernel with all its arguments."""

    kernel: Any
    programs: int
    arguments: dict[str, Any]
    constants: dict[str, Any]
    warps: int

    def __call__(self) -> None:
        self.kernel[(self.programs,)](**self.arguments, **self.constants, num_warps=self.warps)


class Step:
    """Arrays for `n_atoms` atoms and up to `capacity` edges, and the launches that work on them.

    Fill in the inputs (:meth:`set_atoms`, :meth:`set_edges`, :meth:`set_positions`), then
    :meth:`run`, then read `energies` (N,) float64, `forces` (N, 3) float64 and `virial` (3, 3)
    float64. No method waits for the device, and every array stays where it is, so that `run` can be
    captured in a CUDA graph.
    """

    def __init__(
        self, weights: Weights, n_atoms: int, capacity: int, device: torch.device, precision: str
    ):
        if n_atoms * 9 * weights.hidden >= 2**31 or capacity * 5 >= 2**31:
            raise DistillError(
                f"{n_atoms} atoms with {capacity} edges are too many for one call of the CUDA "
                "kernels, which count in 32 bits; divide the system into parts."
            )
        self.n_atoms, self.capacity = n_atoms, capacity
        self.weights = weights

        def floats(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=torch.float32, device=device)

        def doubles(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        def integers(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        n, f, h = n_atoms, weights.hidden, weights.half
        # inputs
        self.positions, self.shift = doubles(n, 3), doubles(capacity, 3)
        self.species, self.reference = integers(n), doubles(n)
        self.row, self.neighbour = integers(n + 1), integers(capacity)
        self._atoms = torch.arange(n + 1, device=device)
        # results
        self.energies, self.forces, self.virial = doubles(n), doubles(n, 3), doubles(3, 3)
        self._virials = doubles(6, n)
        # six sums as a symmetric matrix
        self._six = doubles(6)
        self._matrix = torch.tensor([0, 1, 2, 1, 3, 4, 2, 4, 5], device=device)

        pair_arrays = {
            "row": self.row,
            "count": integers(n),
            "pair_j": integers(capacity),
            "pair_first": integers(capacity),
            "pair_geometry": floats(5, capacity),
        }
        find = Launch(
            pairs.find_pairs,
            n,
            {
                "positions": self.positions,
                "neighbour": self.neighbour,
                "shift": self.shift,
                "species": self.species,
                "reference": self.reference,
                "elements": weights.elements,
                **pair_arrays,
                "energies": self.energies,
                "forces": self.forces,
                "virial": self._virials,
                "n_atoms": n,
                "n_edges": capacity,
            },
            {"CUTOFF": weights.cutoff, "INTERVALS": weights.intervals, "BLOCK": 32},
            warps=1,
        )

        last = len(weights.layers) - 1
        pair_arrays["species"] = self.species
        dense_constants = {"F": f, "H": h, "ATOMS": ATOMS, "CHUNK": 16, "PRECISION": precision}
        onward_constants = {**dense_constants, "SOFTENING": weights.softening}
        blocks, dense_warps = -(-n // ATOMS), 4 if f < 128 else 8
        scratch = floats(n, 3, f)
        # a tile of pairs x features is 512 numbers, two for each thread: with more of them the way
        # back, which keeps some thirty tiles, would need twice the registers (docs/cuda.md)
        edges, message_warps = max(2, 512 // f), 8

        def message_constants(layer: int) -> dict[str, Any]:
            return {"F": f, "FIRST": layer == 0, "EDGES": edges}

        # what a layer's message starts from, and what the way back needs of it
        s, v, phi = weights.embedding, floats(1), weights.phi0
        forward: list[Launch] = [find]
        backward: list[Launch] = []  # from the first layer on
        gs, gv = [floats(n, f), floats(n, f)], [floats(n, 3, f), floats(n, 3, f)]
        gphi, gv_in = floats(n, 3, f), floats(n, 3, f)
        for k, layer in enumerate(weights.layers):
            s_mid, v_mid = floats(n, f), floats(n, 3, f)
            shared = {**pair_arrays, "table": layer.table, "phi": phi, "v": v, "n_edges": capacity}
            forward.append(
                Launch(
                    message.message_forward,
                    n,
                    {**shared, "s": s, "s_out": s_mid, "v_out": v_mid},
                    message_constants(k),
                    warps=message_warps,
                )
            )
            backward.append(
                Launch(
                    message.message_backward,
                    n,
                    {
                        **shared,
                        "gs": gs[k % 2],
                        "gv": gv[k % 2],
                        "gphi": gphi,
                        "gv_in": gv_in,
                        "forces": self.forces,
                        "virial": self._virials,
                        "n_atoms": n,
                    },
                    {**message_constants(k), "SPACING": weights.cutoff / weights.intervals},
                    warps=message_warps,
                )
            )
            update = {
                "mix": layer.mix,
                "a1": layer.a1,
                "a1_b": layer.a1_b,
                "a2": layer.a2,
                "a2_b": layer.a2_b,
            }
            back = {
                "mix_t": layer.mix_t,
                "a1_t": layer.a1_t,
                "a2_t": layer.a2_t,
                "kept": floats(n, 9, f),
                "da": floats(n, h),
                "gs": gs[k % 2],
                "gv": gv[k % 2],
                "scratch": scratch,
                "n_atoms": n,
            }
            if k == last:
                turn = {
                    **update,
                    **back,
                    "s": s_mid,
                    "v": v_mid,
                    "read1": weights.read1,
                    "read1_b": weights.read1_b,
                    "read1_t": weights.read1_t,
                    "read2": weights.read2,
                    "energies": self.energies,
                }
                forward.append(
                    Launch(dense.dense_turn, blocks, turn, onward_constants, dense_warps)
                )
                break
            following = weights.layers[k + 1]
            s, v, phi = floats(n, f), floats(n, 3, f), floats(n, 3, f)
            dphi = floats(n, f)
            onward = {
                **update,
                "s": s_mid,
                "v": v_mid,
                "kept": back["kept"],
                "da": back["da"],
                "dphi": dphi,
                "scratch": scratch,
                "phi1": following.phi1,
                "phi1_b": following.phi1_b,
                "phi2": following.phi2,
                "phi2_b": following.phi2_b,
                "s_out": s,
                "v_out": v,
                "phi": phi,
                "n_atoms": n,
            }
            forward.append(
                Launch(dense.dense_forward, blocks, onward, onward_constants, dense_warps)
            )
            back = {
                **back,
                "gphi": gphi,
                "gs_next": gs[(k + 1) % 2],
                "gv_next": gv_in,
                "dphi": dphi,
                "phi1_t": following.phi1_t,
                "phi2_t": following.phi2_t,
            }
            backward.append(
                Launch(dense.dense_backward, blocks, back, dense_constants, dense_warps)
            )
        self.launches = forward + backward[::-1] if n else []

    def set_atoms(self, numbers: Tensor) -> None:
        """numbers (N,) atomic numbers. An atom of an unknown element gets the energy NaN."""
        numbers, all_species = numbers.to(self.positions.device), self.weights.species_of
        there = (numbers >= 0) & (numbers < len(all_species))
        species = all_species[numbers.clamp(0, len(all_species) - 1)]
        species = torch.where(there, species, -1)
        known = species.clamp(min=0)
        self.species.copy_(known)
        reference = self.weights.reference[known]
        self.reference.copy_(torch.where(species < 0, torch.nan, reference))

    def set_edges(self, edge_index: Tensor, edge_shift: Tensor, by_centre: bool = False) -> None:
        """edge_index (2, E) and edge_shift (E, 3) as Student takes them, E at most the capacity.

        by_centre: the edges are known to be sorted by their centres. Edges of a centre that is not
        there (N or more) count nothing.
        """
        n_edges = edge_index.shape[1]
        if n_edges > self.capacity:
            raise DistillError(
                f"{n_edges} edges do not fit into the capacity of {self.capacity}; make the "
                "evaluator with a larger capacity (see GraphedStudent)."
            )
        device = self.positions.device
        edge_index, edge_shift = edge_index.to(device), edge_shift.to(device)
        if not by_centre:
            order = torch.argsort(edge_index[0], stable=True)
            edge_index, edge_shift = edge_index[:, order], edge_shift[order]
        self.neighbour[:n_edges].copy_(edge_index[1])
        self.shift[:n_edges].copy_(edge_shift)
        centres = edge_index[0].long().contiguous()
        self.row.copy_(torch.searchsorted(centres, self._atoms))

    def set_positions(self, positions: Tensor) -> None:
        """positions (N, 3) in Å."""
        self.positions.copy_(positions)

    def run(self) -> None:
        """Computes the results from the inputs."""
        with torch.cuda.device_of(self.positions):  # where Triton launches
            for launch in self.launches:
                launch()
            torch.sum(self._virials, dim=1, out=self._six)
            torch.index_select(self._six, 0, self._matrix, out=self.virial.view(9))
