"""The KL as the published pinwheel runs computed it: the joint log density of the prior counted once a dimension.

    sum_d log q(z_d given x) - D log p(z)    at the step's own code

The released code has log q one number a dimension and the mixture's log p one a code; their difference spreads log p over
the D dimensions, and the sum over them counts it D times. It is no KL: the prior pulls D times as hard. What was meant
is `kl`.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", the authors' released code.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec


class LegacyPinwheelKLSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "legacy_pinwheel_kl"`; the weight is beta."""


class LegacyPinwheelKL(Regularizer):
    """log q(z given x) - D log p(z), averaged over the batch."""

    Spec = LegacyPinwheelKLSpec
    needs_density = True

    def __init__(self, spec: LegacyPinwheelKLSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `posterior`, `prior` and `z_BD`.

        Returns:
            0-dim, unweighted.
        """
        D = step.z_BD.shape[1]
        return (step.posterior.log_prob(step.z_BD) - D * step.prior.log_prob(step.z_BD)).mean()
