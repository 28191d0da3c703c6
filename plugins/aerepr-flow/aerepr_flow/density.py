"""How a step of the flow changes densities, and how far a code's density is from the prior's.

A step z' = z + grad u(z) with the Hessian H of the mixture's potential changes log q by -log|det(I + H)|. The rules:

    exact            log|det(I + H)|, from the whole Hessian: 3 D^3 products a code
    laplacian        log|1 + trace H|, its value for small H: D^3 products
    hutchinson       the same with the trace estimated, by v . H v of random signs v: as cheap as the step itself
    legacy_row_sum   sum_i log|1 + sum_j H_ij|, the released code's: right where H is diagonal, and nowhere else

The divergence of a step, summed over t = 1..T. As z_t is a function of z_{t-1}, the conditional densities of the model's
evidence bound are degenerate, so the default compares marginals:

    marginal             E[log q_t(z_t | x_0) - log p_t(z_t)], with log q_t = log q_0(z_0 | x_0) - sum of the changes, and p_t the
                         prior after diffusing for t steps at a rate D_k > 0 that each flow learns: of a normal of variance
                         s^2, one of s^2 + 2 D_k t. A sum of KL divergences, zero where the flow carries q_0 as diffusion
                         carries the prior.
    legacy_conditional   the paper's: E[log q(z_t | z_{t-1}) - log p(z_t | z_{t-1})], each the density before less its own
                         change; the prior's potential is -D_k log p, whose Hessian is D_k / s_t^2 times the identity. The prior
                         moves no code, so that the term is least where D_k vanishes.
    legacy_softmax       the released code's: densities of single dimensions (rule legacy_row_sum, D_k = 1), and the KL divergence
                         from a softmax of exp(log p) over the dimensions to one of exp(log q)

What `marginal` bounds, in expectation and with kl at weight 1 or more. Let the step be one-to-one, as it is where I + H is positive
definite at every code (q_0 is positive at all of them: drawn codes can refute it, and never show it), and the rule `exact`: then q_t is
the density of z_t, and each KL_t >= 0. So:

    for any weight w >= 0   distortion + kl + w sum_t KL_t  >=  -log p(x_0..x_T | k) of the model whose codes the flow moves,
                            z_0 ~ p and z_t = z_{t-1} + grad u^k: at w = 0 it is its negative evidence bound, whatever the rule and
                            the step, and what is added is not negative, as transport and initial are not
    for w = 1               it is also >= -sum_t log of p_t's own p(x_t) = E_{z ~ p_t}[p(x_t | z)]: every frame's q_t(z_t | x_0) is
                            a posterior for a model of that frame alone

E_x[KL_t] = I(x_0; z_t) + KL(E_x[q_t] || p_t), and a one-to-one step keeps the first: where the second vanishes, the codes' information is
charged for 1 + w T times, by the first bound alone once. With w > 0 neither is shown for another rule, nor where I + H is somewhere not
positive definite, though the step may be one-to-one there, as with H = -2.5 I. Where k is inferred, the transformation's form `uniform`
at weight 1 or more makes the first a bound of -log p(x_0..x_T), k summed out, on the same conditions; its other two forms bound nothing.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, its text and the authors' code; the bounds
are ours.
Shape letters: B batch, D latent dimensions, K transformations, M networks in use, S steps after the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from aerepr.errors import ShapeError
from aerepr_flow.fields import Point
from aerepr_flow.flow import mixed

Rule = Literal["exact", "laplacian", "hutchinson", "legacy_row_sum"]
Form = Literal["marginal", "legacy_conditional", "legacy_softmax"]

# Products of `exact` for each code and step: three of matrices, and a triangular factorisation.
EXACT_PRODUCTS = 3 + 1 / 3

# Added to the variances of the released code's prior.
_EPS = 1e-5


def log_volume(rule: Rule, point: Point, weights_MB: Tensor, probes: Sequence[Tensor] = ()) -> Tensor:
    """The log of the volume that a step gives to a unit around each code, (B,); of `legacy_row_sum` for each dimension (B, D).

    Args:
        point: the potentials at the codes. weights_MB: of the networks.
        probes: vectors (B, D) of random signs, for `hutchinson`; without any, it takes the trace that they estimate.
    """
    if rule == "exact":
        log_B: Tensor = torch.linalg.slogdet(jacobian(point, weights_MB)).logabsdet
        return log_B
    if rule == "legacy_row_sum":
        return _log_magnitude(mixed(point.row_sums(), weights_MB))
    if rule == "hutchinson" and probes:
        return _log_magnitude(torch.stack([mixed(point.curvature(v_BD), weights_MB) for v_BD in probes]).mean(dim=0))
    return _log_magnitude(mixed(point.laplacian(), weights_MB))


def jacobian(point: Point, weights_MB: Tensor) -> Tensor:
    """I + H of a step at each code, symmetric: (B, D, D)."""
    hessian_BDD = mixed(point.hessian(), weights_MB)
    return hessian_BDD + torch.eye(hessian_BDD.shape[-1], device=hessian_BDD.device).to(hessian_BDD)


def _log_magnitude(value: Tensor) -> Tensor:
    return (1 + value).abs().log()


class StepDivergence(nn.Module):
    """Log densities of codes and of the prior along a sequence, and how far apart they are.

    Args:
        form: which divergence. count: K. steps: T. diffusion: D_k at the start.
    """

    def __init__(self, form: Form, count: int, steps: int, diffusion: float) -> None:
        super().__init__()
        self.form = form
        self.log_rate_K: nn.Parameter | None = None
        self.deviation_KS: nn.Parameter | None = None
        if form != "legacy_softmax":
            self.log_rate_K = nn.Parameter(torch.full((count,), math.log(diffusion)))
        if form != "marginal" and steps > 1:
            self.deviation_KS = nn.Parameter(torch.ones(count, steps - 1))

    def start(self, z_BD: Tensor, posterior: Distribution, prior: Distribution) -> tuple[Tensor, Tensor]:
        """log q_0 and log p_0 at the first codes: (B,) each, of `legacy_softmax` for each dimension (B, D).

        Raises:
            ShapeError: the form follows how a normal prior diffuses, and the prior is none.
        """
        if self.form == "marginal" and not (isinstance(prior, Independent) and isinstance(prior.base_dist, Normal)):
            raise ShapeError(
                f'flow: divergence = "marginal" lets a normal prior diffuse, found a prior that is {type(prior).__name__}; use '
                'the prior "standard_normal", or divergence = "none"'
            )
        if self.form == "legacy_softmax":
            assert isinstance(posterior, Independent)
            assert isinstance(prior, Independent)
            return posterior.base_dist.log_prob(z_BD), prior.base_dist.log_prob(z_BD)
        return posterior.log_prob(z_BD), prior.log_prob(z_BD)

    def prior_after(self, log_p: Tensor, z_BD: Tensor, t: int, weights_BK: Tensor, prior: Distribution) -> Tensor:
        """The prior's log density after step t, of the shape of `log_p`.

        Args:
            log_p: before it. z_BD: the codes after it. weights_BK: of the transformations. prior: of the first codes.
        """
        if self.form == "marginal":
            assert self.log_rate_K is not None
            spread_B1 = 2 * t * (weights_BK @ self.log_rate_K.exp()).unsqueeze(-1)
            variance_BD = prior.variance + spread_B1
            square_BD = (z_BD - prior.mean).square() / variance_BD
            return -0.5 * (square_BD + torch.log(2 * math.pi * variance_BD)).sum(dim=-1)
        rate_K = torch.ones_like(weights_BK[0]) if self.log_rate_K is None else self.log_rate_K.exp()
        if t > 1:
            assert self.deviation_KS is not None
            rate_K = rate_K / (self.deviation_KS[:, t - 2].square() + _EPS)
        change_B = _log_magnitude(weights_BK @ rate_K)
        return log_p - (change_B * z_BD.shape[-1] if log_p.dim() == 1 else change_B.unsqueeze(-1))

    def forward(self, log_q: Tensor, log_p: Tensor) -> Tensor:
        """The divergence at one step, averaged over the batch: 0-dim, nats."""
        if self.form == "legacy_softmax":
            given_BD, target_BD = log_q.exp().log_softmax(dim=-1), log_p.exp().log_softmax(dim=-1)
            return (target_BD.exp() * (target_BD - given_BD)).sum(dim=-1).mean()
        return (log_q - log_p).mean()
