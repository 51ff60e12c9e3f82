"""A student's weights as the kernels read them: padded, (in, out), one array each.

Numbers of features are padded to powers of two, which Triton's blocks must be, with zeros that
change nothing.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distill.kernels.cuda.splines import INTERVALS, basis_splines, filter_table
from distill.student.painn import Message, Update
from distill.student.student import Student


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n, and 16 (the least side of a dot product)."""
    return max(16, 1 << (n - 1).bit_length())


@dataclass
class LayerWeights:
    """F features, H in the update's network, P parts of the message, A outputs of the update."""

    table: Tensor  # (intervals + 5, P, F)
    phi1: Tensor  # (F, F)
    phi1_b: Tensor  # (F,)
    phi2: Tensor  # (P, F, F)
    phi2_b: Tensor  # (P, F)
    mix: Tensor  # (2, F, F): U and V
    a1: Tensor  # (2, F, H): from scalars, from norms
    a1_b: Tensor  # (H,)
    a2: Tensor  # (A, H, F)
    a2_b: Tensor  # (A, F)
    # transposed, (out, in) in each part, for the way back
    phi1_t: Tensor
    phi2_t: Tensor
    mix_t: Tensor
    a1_t: Tensor
    a2_t: Tensor


@dataclass
class Weights:
    """All arrays are on the device, and float32 where nothing else is said."""

    hidden: int  # F, padded
    half: int  # H, padded
    cutoff: float  # Å
    softening: float  # added to squared lengths of vectors
    intervals: int
    layers: list[LayerWeights]
    embedding: Tensor  # (elements, F)
    phi0: Tensor  # (elements, 2, F): the first message's network is a function of the element
    read1: Tensor  # (F, H)
    read1_b: Tensor  # (H,)
    read1_t: Tensor  # (H, F)
    read2: Tensor  # (H,)
    elements: Tensor  # (elements, 3) float64: Z, 1 / screening length (1/Å), covalent radius (Å)
    reference: Tensor  # (elements,) float64, eV, with the readout's bias
    species_of: Tensor  # (119,) int32; -1 for an element that the student does not know


def pack(student: Student, device: torch.device) -> Weights:
    """Weights of a student, computed in float64 and rounded once."""
    student = copy.deepcopy(student).cpu().double()
    painn = student.painn
    features, half = painn.hidden, painn.hidden // 2
    f, h = power_of_two(features), power_of_two(half)

    def put(x: Tensor, *shape: int) -> Tensor:
        padded = torch.zeros(shape, dtype=torch.float32)
        padded[tuple(slice(n) for n in x.shape)] = x.detach().float()
        return padded.to(device)

    def dense(layer: nn.Module, parts_in: int = 1, parts_out: int = 1) -> tuple[Tensor, Tensor]:
        """(parts_in, parts_out, in, out) and (parts_out, out), both unpadded."""
        assert isinstance(layer, nn.Linear)
        rows, columns = layer.out_features // parts_out, layer.in_features // parts_in
        weight = layer.weight.reshape(parts_out, rows, parts_in, columns).permute(2, 0, 3, 1)
        bias = layer.bias if layer.bias is not None else layer.weight.new_zeros(layer.out_features)
        return weight, bias.reshape(parts_out, rows)

    splines = basis_splines(painn.basis, INTERVALS)
    layers = []
    for message, update in zip(painn.messages, painn.updates):
        assert isinstance(message, Message) and isinstance(update, Update)
        parts, outputs = message.parts, 3 if update.vectors_out else 2
        table = filter_table(message.filter, splines).reshape(-1, parts, features)
        phi1, phi1_b = dense(message.phi[0])
        phi2, phi2_b = dense(message.phi[2], parts_out=parts)
        mix, _ = dense(update.mix, parts_out=2)
        a1, a1_b = dense(update.a[0], parts_in=2)
        a2, a2_b = dense(update.a[2], parts_out=outputs)
        layers.append(
            LayerWeights(
                table=put(table, len(table), parts, f),
                phi1=put(phi1[0, 0], f, f),
                phi1_b=put(phi1_b[0], f),
                phi2=put(phi2[0], parts, f, f),
                phi2_b=put(phi2_b, parts, f),
                mix=put(mix[0], 2, f, f),
                a1=put(a1[:, 0], 2, f, h),
                a1_b=put(a1_b[0], h),
                a2=put(a2[0], outputs, h, f),
                a2_b=put(a2_b, outputs, f),
                phi1_t=put(phi1[0, 0].mT, f, f),
                phi2_t=put(phi2[0].mT, parts, f, f),
                mix_t=put(mix[0].mT, 2, f, f),
                a1_t=put(a1[:, 0].mT, 2, h, f),
                a2_t=put(a2[0].mT, outputs, f, h),
            )
        )

    n_elements = len(student.config.elements)
    embedding = painn.embedding.weight
    first = painn.messages[0]
    assert isinstance(first, Message)
    phi0 = first.phi(embedding).reshape(n_elements, 2, features)
    read1, read1_b = dense(painn.readout[0])
    read2, read2_b = dense(painn.readout[2])
    zbl = painn.zbl
    return Weights(
        hidden=f,
        half=h,
        cutoff=student.cutoff,
        softening=student.config.softening,
        intervals=INTERVALS,
        layers=layers,
        embedding=put(embedding, n_elements, f),
        phi0=put(phi0, n_elements, 2, f),
        read1=put(read1[0, 0], f, h),
        read1_b=put(read1_b[0], h),
        read1_t=put(read1[0, 0].mT, h, f),
        read2=put(read2[0, 0, :, 0], h),
        elements=torch.stack([zbl.z, zbl.inverse_screening, zbl.radii], dim=-1).to(device),
        reference=(student.reference + read2_b.detach().flatten()).to(device),
        species_of=student.species_of.to(device, torch.int32),
    )
