"""The MMD term as the runs of "Structure by Architecture" computed it: the unbiased MMD^2, divided by the batch size.

It is not the penalty of a Wasserstein autoencoder of that weight. The division makes a weight of 10 and batches of 128
count as 10 / 128 against thousands of nats of distortion, so the model is a plain autoencoder but for its name; and the
kernel's width is D, half that of Tolstikhin et al. The term without the division is `mmd`, of which this is
`scales = [0.5]` over B.

Source: Leeb et al. 2023, the authors' released code.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.layers.kernels import cauchy_mmd
from aerepr.spec.model import RegularizerSpec


class LegacyMMDSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "legacy_mmd"`."""


class LegacyMMD(Regularizer):
    """The published runs' MMD, over the batch size."""

    Spec = LegacyMMDSpec

    def __init__(self, spec: LegacyMMDSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.widths = [float(ctx.latent_dim)]

    def forward(self, step: Step) -> Tensor:
        """MMD^2 of one batch, over its size.

        Args:
            step: uses `z_BD` and draws of the prior.

        Returns:
            0-dim, unweighted.

        Raises:
            ValueError: a training batch of one code, which has no pairs.
        """
        return cauchy_mmd(step.z_BD, step.draw_prior("legacy_mmd"), self.widths, self.training) / len(step.z_BD)
