"""Bernoulli likelihood with soft targets: cross entropy of every value, summed.

    -log p(x given z) = sum over values of  softplus(l) - x l,

which for x strictly between 0 and 1 is the cross entropy of a target probability, not a normalised density. Its least
value is the entropy of x, not 0.

Source: Leeb et al. 2023, "Structure by Architecture" (sum over values, mean over the batch).
Shape letters: B batch, C channels, H height, W width, F features.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from aerepr.kinds.likelihood import Likelihood
from aerepr.kinds.part import BuildContext
from aerepr.layers.location_scale import full_precision
from aerepr.spec.base import ComponentSpec


class BernoulliSpec(ComponentSpec):
    """Table `[model.likelihood]` with `name = "bernoulli"`."""


class SoftBernoulli(Distribution):
    """Independent Bernoulli values, given by logits, whose targets may lie anywhere in [0, 1].

    Args:
        logits: (B, *shape); the event shape is the data's.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape[:1], logits.shape[1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        """Minus the cross entropy of each example in nats, (B,)."""
        cost = nn.functional.binary_cross_entropy_with_logits(
            self.logits, value.to(self.logits.dtype), reduction="none"
        )
        return -cost.flatten(1).sum(dim=1)


class Bernoulli(Likelihood):
    """Logits, one a value; for data in [0, 1]."""

    Spec = BernoulliSpec
    P = 1

    def __init__(self, spec: BernoulliSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, raw: Tensor) -> Distribution:
        """p(x given z) from logits (B, C, H, W) or (B, F)."""
        return SoftBernoulli(full_precision(raw))

    def mean(self, raw: Tensor) -> Tensor:
        """Probabilities, the shape of `raw`."""
        return full_precision(raw).sigmoid()
