"""A categorical over K ordered positions e_k = -1 + 2 (k - 1) / (K - 1) of the interval [-1, 1], and its KL divergence.

    KL(p || q) = sum_k p_k (log p_k - log q_k);  for uniform q it lies between 0 and log K

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations", as in the authors' code.
Shape letters: K positions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl


def grid(count: int) -> Tensor:
    """`count` equally spaced positions (K,); the first is exactly -1 and the last exactly 1."""
    return torch.linspace(-1.0, 1.0, count)


class _Positions(Constraint):
    """One of the positions of a grid. What has it as its support has a mass and no density."""

    is_discrete = True

    def __init__(self, positions_K: Tensor) -> None:
        self.positions_K = positions_K
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return (value.unsqueeze(-1) == self.positions_K).any(dim=-1)


class OrderedCategorical(Distribution):
    """Mass on the positions of a grid, event shape ().

    Args:
        logits: unnormalised log mass, (..., K).
        positions_K: `grid(K)`.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, logits: Tensor, positions_K: Tensor) -> None:
        # Half precision cannot tell the tails of 64 categories apart.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        self.log_mass = torch.log_softmax(logits, dim=-1)
        self.positions_K = positions_K
        super().__init__(logits.shape[:-1], validate_args=False)

    @property
    def support(self) -> Constraint:
        return _Positions(self.positions_K)

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
