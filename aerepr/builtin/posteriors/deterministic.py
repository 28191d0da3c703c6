"""Posterior of a plain autoencoder: all mass at the encoder's output, no noise and no density.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.distributions import Dirac
from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.step import Mode
from aerepr.spec.base import ComponentSpec


class DeterministicSpec(ComponentSpec):
    """Table `[model.posterior]` with `name = "deterministic"`."""


class Deterministic(Posterior):
    """The code is the encoder's output, unbounded and unnormalised."""

    Spec = DeterministicSpec
    K = 1

    def __init__(self, spec: DeterministicSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, params_BDK: Tensor) -> Distribution:
        """A Dirac at the code, batch shape (B,), event shape (D,)."""
        return Dirac(_code(params_BDK))

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """The code (B, D), whatever noise and mode."""
        return _code(params_BDK)


def _code(params_BDK: Tensor) -> Tensor:
    # A code in half precision would lose the resolution that samplers and metrics read.
    return params_BDK[..., 0].to(torch.promote_types(params_BDK.dtype, torch.float32))
