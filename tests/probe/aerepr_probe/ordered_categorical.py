"""A categorical over K ordered positions e_k = -1 + 2 (k - 1) / (K - 1), and its KL divergence.

Source: Friede et al. 2023, Learning Disentangled Discrete Representations, as in the authors' code.
Shape letters: K positions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl


def grid(count: int) -> Tensor:
    """`count` equally spaced positions; the first is exactly -1 and the last exactly 1."""
    return torch.linspace(-1.0, 1.0, count)


class OrderedCategorical(Distribution):
    """Mass on the positions of a grid, event shape ().

    Args:
        logits: unnormalised log mass, (..., K).
        positions_K: `grid(K)`.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, logits: Tensor, positions_K: Tensor) -> None:
        self.log_mass = torch.log_softmax(logits, dim=-1)
        self.positions_K = positions_K
        super().__init__(logits.shape[:-1], validate_args=False)

    @property
    def mean(self) -> Tensor:
        # Not a matrix product, which autocast would round to bfloat16: positions of 64 are 0.03 apart.
        return (self.log_mass.exp() * self.positions_K).sum(dim=-1)

    @property
    def variance(self) -> Tensor:
        return (self.log_mass.exp() * self.positions_K.square()).sum(dim=-1) - self.mean.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log mass (not a density) of the position nearest to `value`."""
        last = len(self.positions_K) - 1
        nearest = ((value + 1) / 2 * last).round().long().clamp(0, last)
        nearest, log_mass = torch.broadcast_tensors(nearest.unsqueeze(-1), self.log_mass)
        return log_mass.gather(-1, nearest[..., :1]).squeeze(-1)


@register_kl(OrderedCategorical, OrderedCategorical)
def _kl(p: OrderedCategorical, q: OrderedCategorical) -> Tensor:
    return (p.log_mass.exp() * (p.log_mass - q.log_mass)).sum(dim=-1)
