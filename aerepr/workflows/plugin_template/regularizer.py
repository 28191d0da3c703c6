"""Regularizer `plugin_name`: the covariance of the batch's codes is drawn to the identity.

    sum over i != j of  Cov_ij^2  +  sum over i of  (Cov_ii - 1)^2

Source: Kumar et al. 2018, arXiv:1711.00848 (DIP-VAE-II, where the covariance is that of the aggregate posterior, here
estimated from the codes drawn, and both sums weigh the same).
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec


class PluginNameRegularizerSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "plugin_name"`."""


class PluginNameRegularizer(Regularizer):
    """Codes that are uncorrelated and of unit variance cost nothing."""

    Spec = PluginNameRegularizerSpec

    def __init__(self, spec: PluginNameRegularizerSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.identity_DD: Tensor
        self.register_buffer("identity_DD", torch.eye(ctx.latent_dim))

    def forward(self, step: Step) -> Tensor:
        """The term of one batch: 0-dim, unweighted."""
        centred_BD = step.z_BD - step.z_BD.mean(dim=0)
        covariance_DD = centred_BD.T @ centred_BD / len(centred_BD)
        return (covariance_DD - self.identity_DD).square().sum()
