"""MMD between the codes and the prior, of each dimension by itself: the term of weight alpha for sparsity.

    D = sum_d MMD^2(z_d, p_d),    kernels c / (c + (a - b)^2), c = 2 scale, summed over the scales

by the unbiased estimate, with as many codes drawn from the prior, anew in each step, as the batch has. It shapes the
marginals and says nothing of how dimensions depend on each other; the joint MMD of a Wasserstein autoencoder is the core's
`mmd`. D is one number a batch, which every example carries with the full weight, as in the paper. What the prior learns
gets a gradient from it; in the authors' code the drawn codes gave none.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code (`mmd_dim`).
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat
from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec
from aerepr_decomposition.batch import require_several
from aerepr_decomposition.kernels import SCALES, mmd_dimwise


class DimensionWiseMMDSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "mmd_dimwise"`; the weight is alpha."""

    scales: list[PositiveFloat] = Field(
        list(SCALES), min_length=1, description="half the widths c of the kernels, which are summed"
    )


class DimensionWiseMMD(Regularizer):
    """Sum of the marginals' MMDs; it asks nothing of the posterior, so it also serves one without a density."""

    Spec = DimensionWiseMMDSpec

    def __init__(self, spec: DimensionWiseMMDSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.scales = spec.scales

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `z_BD` and draws of the prior.

        Returns:
            0-dim, unweighted; an estimate below zero is no error.

        Raises:
            ValueError: a training batch of one code, which has no pairs.
        """
        require_several(len(step.z_BD), self.training, "mmd_dimwise")
        return mmd_dimwise(step.draw_prior("mmd_dimwise"), step.z_BD, self.scales)
