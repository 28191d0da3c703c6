"""Checks of a prior.

Shape letters: B batch, D latent dimensions, N noise width or number of samples, M both samples together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aerepr.conformance.parts import (
    BUILDS,
    EXPORT_ROWS,
    PURE,
    B,
    common,
    compare_rows,
    exports,
    reached,
    require_distribution,
    require_learning,
    require_shape,
    trainable,
)
from aerepr.conformance.result import Check, require
from aerepr.conformance.world import Scene, Subject
from aerepr.kinds.distributions import has_density
from aerepr.layers.noise import sample_noise

# Samples by which a prior's two ways to draw are compared, and the largest distance of their distribution functions: a
# two-sample Kolmogorov-Smirnov test would reject equal laws at this distance once in millions.
SAMPLES = 4000
FARTHEST = 0.06

# How many standard errors two means of equal laws may differ by; the seeds are fixed, so it is met always or never.
ERRORS = 6.0


class FromNoise(nn.Module):
    """A prior's map from noise, as a forward pass."""

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, noise: Tensor) -> Tensor:
        z: Tensor = self.prior.from_noise(noise)  # type: ignore[operator]
        return z


def _prior_noise(scene: Scene, count: int, seed: int = 31) -> Tensor:
    return sample_noise(count, scene.model.prior.noise_dim, seed, scene.model.prior.noise)


def _prior_outputs(scene: Scene) -> list[Tensor]:
    prior = scene.model.prior
    with torch.no_grad():
        z_BD = prior.from_noise(_prior_noise(scene, B))
        distribution = prior()
        density = [distribution.log_prob(z_BD)] if has_density(distribution) else []
        return [z_BD, prior.to_metric_scale(z_BD), *density]


def prior_shape(subject: Subject) -> None:
    """Event shape (D,), a joint log probability, codes (B, D) from noise (B, N)."""
    for scene in subject.scenes():
        prior, D = scene.model.prior, scene.world.latent_dim
        require(
            isinstance(prior.noise_dim, int) and prior.noise_dim > 0,
            f"noise_dim is {prior.noise_dim!r}, expected a positive integer",
        )
        require(prior.noise in ("uniform", "normal"), f"noise is {prior.noise!r}, expected uniform or normal")
        require_distribution(scene, prior(), (), (D,))
        for count in (1, 3):
            z_BD = prior.from_noise(_prior_noise(scene, count))
            require_shape("from_noise", z_BD, (count, D), scene)
            require_shape("to_metric_scale", prior.to_metric_scale(z_BD), (count, D), scene)
            if has_density(prior()):
                require_shape("log_prob", prior().log_prob(z_BD), (count,), scene)


def prior_law(subject: Subject) -> None:
    """`from_noise` follows the distribution: the law of each dimension, and the mean log probability of them together.

    A distribution that cannot be sampled is compared by its mean and variance.
    """
    for scene in subject.scenes():
        prior, where = scene.model.prior, f"in the world of {scene.world.name}"
        with torch.no_grad():
            distribution = prior()
            z_ND = prior.from_noise(_prior_noise(scene, SAMPLES))
            drawn_ND = _drawn(distribution)
            if drawn_ND is None:
                errors = z_ND.std(dim=0) / SAMPLES**0.5
                far = (z_ND.mean(dim=0) - distribution.mean).abs() > ERRORS * errors + 1e-6
                require(not bool(far.any()), f"from_noise has another mean than the distribution, {where}")
                far = (z_ND.var(dim=0) - distribution.variance).abs() > 0.2 * distribution.variance + 1e-6
                require(not bool(far.any()), f"from_noise has another variance than the distribution, {where}")
                continue
            distance = max(_distance(a, b) for a, b in zip(z_ND.T, drawn_ND.T, strict=True))
            require(
                distance < FARTHEST,
                f"from_noise does not follow the distribution: their distribution functions differ by {distance:.2f}, {where}",
            )
            ours_N, theirs_N = distribution.log_prob(z_ND), distribution.log_prob(drawn_ND)
            error = ((ours_N.var() + theirs_N.var()) / SAMPLES).sqrt()
            require(
                bool((ours_N.mean() - theirs_N.mean()).abs() <= ERRORS * error + 1e-4),
                f"samples by from_noise have another mean log probability than the distribution's own: its dimensions depend on "
                f"each other in another way, {where}",
            )


def _drawn(distribution: Distribution) -> Tensor | None:
    try:
        return distribution.sample(torch.Size([SAMPLES]))
    except NotImplementedError:
        return None


def _distance(a_N: Tensor, b_N: Tensor) -> float:
    """Largest distance between two empirical distribution functions."""
    a_N, b_N = a_N.contiguous().sort().values, b_N.contiguous().sort().values
    at_M = torch.cat([a_N, b_N])
    below_a = torch.searchsorted(a_N, at_M, right=True) / len(a_N)
    below_b = torch.searchsorted(b_N, at_M, right=True) / len(b_N)
    return (below_a - below_b).abs().max().item()


def prior_gradients(subject: Subject) -> None:
    """What is learned of the prior learns from the density."""
    for scene in subject.scenes():
        prior = scene.model.prior.train()
        if not trainable(prior):
            continue
        scene.stir()
        require_learning(scene, prior, reached(prior().log_prob(scene.codes(B)), trainable(prior)))


def prior_independent(subject: Subject) -> None:
    """A sample is a function of its own noise."""
    for scene in subject.scenes():
        noise_BN = _prior_noise(scene, B)
        other = torch.cat([noise_BN[:1], _prior_noise(scene, B - 1, seed=96)])
        compare_rows(scene, lambda noise, scene=scene: [scene.model.prior.from_noise(noise)], (noise_BN,), (other,))


def _prior_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"from_noise": (FromNoise(scene.model.prior), {"noise": _prior_noise(scene, EXPORT_ROWS)})}


PRIOR = (
    BUILDS,
    Check("shape", prior_shape, ("builds",)),
    *common(_prior_outputs),
    Check("law", prior_law, PURE),
    Check("gradients", prior_gradients, ("shape",)),
    Check("independent", prior_independent, PURE),
    Check("export", exports(_prior_exports), (*PURE, "independent")),
)
