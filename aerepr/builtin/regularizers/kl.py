"""KL divergence from the posterior to the prior, with a floor for each latent dimension (free bits).

Source: Kingma and Welling 2014, arXiv:1312.6114; Higgins et al. 2017 (beta-VAE, the weight); Kingma et al. 2016,
arXiv:1606.04934 (the floor).
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from typing import cast

from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.distributions import Independent

from aerepr.kinds.distributions import has_closed_form, rate_B
from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec


class KLSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "kl"`."""

    free_nats: NonNegativeFloat = Field(0.0, description="rate below which a dimension feels no pull, in nats")
    closed_form: bool = Field(
        False, description="refuse a posterior and a prior whose KL has no closed form, instead of estimating it"
    )


class KL(Regularizer):
    """The rate: closed form where one is known, else one-sample Monte Carlo at the step's own code."""

    Spec = KLSpec
    needs_density = True

    def __init__(self, spec: KLSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.free_nats = spec.free_nats
        # Only the floor looks at single dimensions.
        self.needs_factorised = spec.free_nats > 0
        self.needs_closed_form = spec.closed_form

    def forward(self, step: Step) -> Tensor:
        """Rate of one batch.

        Args:
            step: uses `posterior` and `prior`, event shape (D,), and `z_BD` where no closed form exists.

        Returns:
            0-dim, nats an example, unweighted.
        """
        if self.free_nats == 0:
            return rate_B(step.posterior, step.prior, step.z_BD).mean()
        # The floor acts on the batch average of each dimension, as in the paper, not on each example.
        # `needs_factorised` has made sure of Independent.
        posterior, prior = cast(Independent, step.posterior), cast(Independent, step.prior)
        kl_BD = rate_B(posterior.base_dist, prior.base_dist, step.z_BD)
        return kl_BD.mean(dim=0).clamp(min=self.free_nats).sum()

    def logged_name(self, name: str, step: Step) -> str:
        """The name, with `_mc` where the value is a Monte-Carlo estimate."""
        return name if has_closed_form(step.posterior, step.prior) else f"{name}_mc"
