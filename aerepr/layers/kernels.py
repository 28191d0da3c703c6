"""Kernels of the maximum mean discrepancy, and its unbiased estimate.

    MMD^2(P, Q) = E k(x, x') - 2 E k(x, y) + E k(y, y'),    x, x' from P and y, y' from Q, all independent.

Within a set the estimate leaves out each point with itself, so its mean is exact; it may be negative.

Source: Gretton et al. 2012, "A kernel two-sample test", lemma 6.
Shape letters: N, M points, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def squared_distances(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """||x - y||^2 of every pair, (N, M)."""
    # The sum of differences, not the expansion into products: that loses all digits where points are close.
    return (x_ND[:, None] - y_MD[None]).square().sum(dim=-1)


def cauchy(distances: Tensor, widths: Sequence[float]) -> Tensor:
    """Sum over the widths c of c / (c + distance), the inverse multiquadratic kernel, which in one dimension is Cauchy's.

    Args:
        distances: squared distances, any shape.
        widths: on the scale of squared distances, each positive.
    """
    return torch.stack([c / (c + distances) for c in widths]).sum(dim=0)


def unbiased_mmd(x_ND: Tensor, y_MD: Tensor, kernel: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The unbiased estimate of MMD^2 between the laws of two sets of points, 0-dim.

    Args:
        kernel: k of every pair of two sets, (N, M).
    """
    return _within(kernel(x_ND, x_ND)) + _within(kernel(y_MD, y_MD)) - 2 * kernel(x_ND, y_MD).mean()


def cauchy_mmd(codes_BD: Tensor, drawn_BD: Tensor, widths: Sequence[float], training: bool) -> Tensor:
    """`unbiased_mmd` of a batch of codes and of codes drawn from the prior, by the kernel `cauchy`.

    Args:
        training: whether the batch is one to learn from, which must have pairs.

    Raises:
        ValueError: a training batch of one code.
    """
    if training and len(codes_BD) < 2:
        raise ValueError("the MMD compares pairs of codes, and the batch has 1: set train.batch_size to 2 or more")
    return unbiased_mmd(codes_BD, drawn_BD, lambda x, y: cauchy(squared_distances(x, y), widths))


def _within(k_NN: Tensor) -> Tensor:
    """Mean over all pairs of different points; 0 where there is one point, which has no pair."""
    count = len(k_NN)
    return (k_NN.sum() - k_NN.diagonal().sum()) / max(1, count * (count - 1))
