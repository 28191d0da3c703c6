"""Location and scale of a density from unconstrained numbers; shared by the families of likelihoods, and by posteriors.

Shape letters: B batch, P likelihood numbers a value.
"""

from __future__ import annotations

from math import expm1, log
from typing import Literal

import torch
from torch import Tensor, nn

# How an unconstrained number r becomes a positive one: exp(r), exp(r / 2) where r is the log of a variance, or softplus(r).
Positive = Literal["exp", "half_exp", "softplus"]

# softplus(x + SHIFT) is 1 at x = 0, so that a learned scale starts at the fixed one.
SHIFT = log(expm1(1.0))


def full_precision(raw: Tensor) -> Tensor:
    """float32 at least: a sum over thousands of values, or an exponential, has no place in half precision."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


def positive(raw: Tensor, how: Positive, floor: float) -> Tensor:
    """A positive number and, added to it, a floor, in the precision of `raw`."""
    if how == "softplus":
        return nn.functional.softplus(raw) + floor
    return (raw if how == "exp" else 0.5 * raw).exp() + floor


def to_location(raw: Tensor, P: int, squash: bool) -> Tensor:
    """The first of P numbers a value, squashed to (0, 1) if asked.

    Args:
        raw: (B, P*C, ...), the first number of all channels first.
    """
    location = full_precision(raw).chunk(P, dim=1)[0]
    return location.sigmoid() if squash else location


def to_scale(raw: Tensor, scale: Tensor, floor: float) -> Tensor:
    """floor + scale softplus(raw + shift): positive, and about `scale` at raw = 0."""
    return floor + scale * nn.functional.softplus(full_precision(raw) + SHIFT)
