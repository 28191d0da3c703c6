"""Maximum mean discrepancy between the aggregate posterior and the prior: the penalty of the Wasserstein autoencoder.

The codes of the batch and as many codes of the prior are compared as two sets of points of D dimensions, by the unbiased
estimate of MMD^2 with the inverse multiquadratic kernel

    k(x, y) = c / (c + ||x - y||^2),    c = scale * 2 D.

2 D is the mean squared distance between two codes of N(0, I), the width of Tolstikhin et al. for variance 1. Several
scales make a kernel that is the sum of theirs. The term is a number between kernels, not nats, and an estimate below zero
is no error. The weight stands against a distortion in nats summed over values: Tolstikhin et al. use 10 for MNIST and 100
for colour images of 64 pixels.

Source: Tolstikhin et al. 2018, arXiv:1711.01558, algorithm 2.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat
from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.layers.kernels import cauchy_mmd
from aerepr.spec.model import RegularizerSpec


class MMDSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "mmd"`."""

    scales: list[PositiveFloat] = Field(
        [1.0], min_length=1, description="widths of the kernel in units of 2D; of several, the kernels are summed"
    )


class MMD(Regularizer):
    """Joint MMD of codes and prior; it asks nothing of the posterior, so it also serves one without a density."""

    Spec = MMDSpec

    def __init__(self, spec: MMDSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.widths = [2 * ctx.latent_dim * scale for scale in spec.scales]

    def forward(self, step: Step) -> Tensor:
        """MMD^2 of one batch.

        Args:
            step: uses `z_BD` and draws of the prior.

        Returns:
            0-dim, unweighted.

        Raises:
            ValueError: a training batch of one code, which has no pairs.
        """
        return cauchy_mmd(step.z_BD, step.draw_prior("mmd"), self.widths, self.training)
