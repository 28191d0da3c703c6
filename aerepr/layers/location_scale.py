"""Location and scale of a likelihood, from the decoder's raw numbers; shared by the location-scale families.

Shape letters: B batch, P likelihood numbers a value.
"""

from __future__ import annotations

from math import expm1, log

import torch
from torch import Tensor, nn

# softplus(x + SHIFT) is 1 at x = 0, so that a learned scale starts at the fixed one.
SHIFT = log(expm1(1.0))


def full_precision(raw: Tensor) -> Tensor:
    """float32 at least: a sum over thousands of values, or an exponential, has no place in half precision."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


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
