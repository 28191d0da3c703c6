"""Dimension-wise maximum mean discrepancy: how far two sets of codes are apart in each dimension by itself.

    D = sum over d and c of  mean_{i != j} k_c(x_id, x_jd) + mean_{i != j} k_c(y_id, y_jd) - 2 mean_{ij} k_c(x_id, y_jd)

    k_c(a, b) = c / (c + (a - b)^2),    c = 2 scale

It is 0 in the mean where every marginal is the same, and may come out below; dependence between dimensions it cannot see.
All N M pairs are looked at in every dimension, a block at a time, with the gradient taken on the way, so that memory does
not grow with the number of pairs.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", arXiv:1812.02833, as in the
authors' code; the estimate is that of Gretton et al. 2012, "A kernel two-sample test", lemma 6.
Shape letters: N, M codes, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Those of the authors' code.
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

# Pairs worked on at a time, times dimensions: a few of such arrays fit the caches of a CPU.
_BLOCK = 1 << 20


def mmd_dimwise(x_ND: Tensor, y_MD: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    """The unbiased estimate of the discrepancy, summed over dimensions and kernels, 0-dim.

    Args:
        x_ND, y_MD: floating-point codes. A set of one code has no pairs of its own, and its mean over them is taken as 0.
        scales: widths of the kernels, each positive.
    """
    return cast(Tensor, _MMD.apply(x_ND, y_MD, [2.0 * scale for scale in scales]))


class _MMD(torch.autograd.Function):
    """The estimate, with its gradient written out: nothing of N x M numbers is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, y_MD: Tensor, widths: list[float]) -> Tensor:
        x_DN, y_DM = x_ND.T.contiguous(), y_MD.T.contiguous()
        of_x, of_y = ctx.needs_input_grad[:2]
        within_x, slope_x_DN, _ = _pairs(x_DN, x_DN, widths, of_x)
        within_y, slope_y_DM, _ = _pairs(y_DM, y_DM, widths, of_y)
        between, slope_xy_DN, slope_yx_DM = _pairs(x_DN, y_DM, widths, of_x or of_y)
        D, N, M = len(x_DN), x_DN.shape[1], y_DM.shape[1]
        per_x, per_y, per_pair = 1 / max(1, N * (N - 1)), 1 / max(1, M * (M - 1)), 2 / (N * M)
        # A code with itself has k = 1, whatever the width, and no slope.
        itself = D * len(widths)
        # Every pair within a set is there twice, and moves with either of its codes.
        ctx.save_for_backward(
            (2 * per_x * slope_x_DN - per_pair * slope_xy_DN).T, (2 * per_y * slope_y_DM - per_pair * slope_yx_DM).T
        )
        return (within_x - N * itself) * per_x + (within_y - M * itself) * per_y - between * per_pair

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        slope_ND, slope_MD = ctx.saved_tensors
        of_x, of_y = ctx.needs_input_grad[:2]
        return (slope * slope_ND if of_x else None, slope * slope_MD if of_y else None, None)


def _pairs(x_DN: Tensor, y_DM: Tensor, widths: list[float], sloped: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of all kernels over all pairs, 0-dim, and, if asked for, what it changes by with x (D, N) and with y (D, M)."""
    total = x_DN.new_zeros(())
    slope_DN, slope_DM = torch.zeros_like(x_DN), torch.zeros_like(y_DM)
    for dims, rows in _blocks(len(x_DN), x_DN.shape[1], y_DM.shape[1]):
        apart = x_DN[dims, rows, None] - y_DM[dims, None, :]
        squared, slope = apart.square(), torch.zeros_like(apart)
        for c in widths:
            k = c / (c + squared)
            total += k.sum()
            if sloped:
                slope.addcmul_(k, k, value=-2 / c)
        if sloped:
            slope *= apart
            slope_DN[dims, rows] = slope.sum(dim=2)
            slope_DM[dims] -= slope.sum(dim=1)
    return total, slope_DN, slope_DM


def _blocks(D: int, N: int, M: int) -> Iterator[tuple[slice, slice]]:
    """Dimensions and rows of x whose pairs with all of y are worked on at a time."""
    dims, rows = max(1, _BLOCK // (N * M)), max(1, min(N, _BLOCK // M))
    for first in range(0, D, dims):
        for start in range(0, N, rows):
            yield slice(first, first + dims), slice(start, start + rows)
