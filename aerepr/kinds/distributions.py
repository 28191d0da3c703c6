"""What the contracts ask of distributions, beyond `torch.distributions`.

Every posterior and prior has event shape (D,), so `log_prob` is joint and one number an example; a factorised one is
`Independent(base, 1)`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.distributions.constraints import Constraint
from torch.distributions.kl import kl_divergence


class Dirac(Distribution):
    """All mass at one point, event shape (D,). It has no density, so whatever needs one must refuse it.

    Args:
        value_BD: the point, one an example.
    """

    arg_constraints: dict[str, Constraint] = {}
    has_rsample = True

    def __init__(self, value_BD: Tensor) -> None:
        self.value = value_BD
        super().__init__(value_BD.shape[:-1], value_BD.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.value)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return self.value.expand(*sample_shape, *self.value.shape)


def has_density(distribution: Distribution) -> bool:
    """Whether `log_prob` means something."""
    return not isinstance(distribution, Dirac)


def is_factorised(distribution: Distribution) -> bool:
    """Whether the dimensions are independent, so that `base_dist` speaks of each."""
    return isinstance(distribution, Independent) and distribution.reinterpreted_batch_ndims == 1


def has_closed_form(posterior: Distribution, prior: Distribution) -> bool:
    """Whether KL(posterior || prior) is known without sampling."""
    try:
        kl_divergence(posterior, prior)
    except NotImplementedError:
        return False
    return True


def is_comparable(posterior: Distribution, prior: Distribution) -> bool:
    """Whether KL(posterior || prior) means anything: known in closed form, or both densities, or both masses."""
    if has_closed_form(posterior, prior):
        return True
    discrete = [getattr(distribution.support, "is_discrete", False) for distribution in (posterior, prior)]
    return discrete[0] == discrete[1]


def rate_B(posterior: Distribution, prior: Distribution, z_BD: Tensor) -> Tensor:
    """KL(q || p) of each example in nats, (B,): closed form, or one-sample Monte Carlo at the step's own z.

    Args:
        posterior: batch shape (B,), event shape (D,). prior: event shape (D,).
        z_BD: a reparameterised sample of the posterior, used only where no closed form exists.
    """
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        return posterior.log_prob(z_BD) - prior.log_prob(z_BD)


def independent_normal(loc_BD: Tensor, scale_BD: Tensor) -> Independent:
    """N(loc, diag(scale^2)) with event shape (D,)."""
    return Independent(Normal(loc_BD, scale_BD, validate_args=False), 1, validate_args=False)
