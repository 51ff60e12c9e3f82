"""Muon (Jordan, 2024, https://kellerjordan.github.io/posts/muon) for many small matrices.

The steps of ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"``, in float32 and with
matrices of one height orthogonalized together: a student has some twenty, each so small that torch
spends its time between them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic iteration
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum (Nesterov's), orthogonalized, for 2-dimensional parameters, all with gradients.

    weight_decay: as AdamW's; each step takes lr times that part of the weights away.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            momentum, parameters = group["momentum"], group["params"]
            gradients = [p.grad for p in parameters]
            averages = [
                self.state[p].setdefault("momentum_buffer", torch.zeros_like(p)) for p in parameters
            ]
            torch._foreach_lerp_(averages, gradients, 1.0 - momentum)
            updates = orthogonal(torch._foreach_lerp(gradients, averages, momentum))
            torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
            # so that entries move as far as AdamW's would
            scales = [-0.2 * max(p.shape) ** 0.5 for p in parameters]
            moves = torch._foreach_mul(torch._foreach_mul(updates, scales), group["lr"])
            torch._foreach_add_(parameters, moves)


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """For each matrix U S V^T about U V^T: singular values of 0.7 to 1.2, as Muon makes do with.

    Newton-Schulz iterations act on rows and columns of zeros as if they were not there, so
    matrices of one height go side by side whatever their length.
    """
    of_height: dict[int, list[int]] = defaultdict(list)
    for k, matrix in enumerate(matrices):
        of_height[min(matrix.shape)].append(k)
    result: list[Tensor] = list(matrices)
    for height, members in of_height.items():
        longest = max(max(matrices[k].shape) for k in members)
        x = matrices[0].new_zeros(len(members), height, longest)
        for row, k in zip(x, members):
            row[:, : max(matrices[k].shape)] = _lying(matrices[k])
        x /= x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
        for row, k in zip(torch.bmm(_polynomials(torch.bmm(x, x.mT)), x), members):
            found = row[:, : max(matrices[k].shape)]
            result[k] = found if _lies(matrices[k]) else found.mT
    return result


def _polynomials(gram: Tensor) -> Tensor:
    """What all iterations together multiply X with, from X X^T: their factors commute.

    So the iterations are of squares, not of matrices three times as long as high.
    """
    scaled = A * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = factor = scaled + torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    for _ in range(ITERATIONS - 1):
        gram = torch.bmm(torch.bmm(factor, gram), factor)
        factor = scaled + torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        product = torch.bmm(factor, product)
    return product


def _lies(matrix: Tensor) -> bool:
    return matrix.shape[0] <= matrix.shape[1]


def _lying(matrix: Tensor) -> Tensor:
    return matrix if _lies(matrix) else matrix.mT
