"""Checks of the five parts of an autoencoder: encoder, posterior, prior, decoder, likelihood.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension, P likelihood numbers a value, N noise width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aerepr.conformance import parts
from aerepr.conformance.parts import EXPORT_ROWS, reached, require_learning, require_row, require_shape, trainable
from aerepr.conformance.result import Check, own_generators, require
from aerepr.conformance.world import Scene, Subject
from aerepr.kinds.distributions import has_density
from aerepr.kinds.layout import LatentLayout
from aerepr.layers.noise import sample_noise

B = 8

# Samples by which a prior's two ways to draw are compared, and the largest distance of their distribution functions: a
# two-sample Kolmogorov-Smirnov test would reject equal laws at this distance once in millions.
SAMPLES = 4000
FARTHEST = 0.06

# How many standard errors two means of equal laws may differ by; the seeds are fixed, so it is met always or never.
ERRORS = 6.0


# Encoder.


def _encoder_outputs(scene: Scene) -> list[Tensor]:
    with torch.no_grad():
        return [scene.model.encoder(scene.world.batch(0, B).first)]


def encoder_shape(subject: Subject) -> None:
    """Parameters (B, D, K), for any batch size."""
    for scene in subject.scenes():
        for count in (1, 3):
            with torch.no_grad():
                found = scene.model.encoder(scene.world.batch(0, count).first)
            require_shape("the output", found, (count, scene.world.latent_dim, scene.model.posterior.K), scene)


def encoder_gradients(subject: Subject) -> None:
    """Every trainable parameter learns."""
    for scene in subject.scenes():
        scene.stir()
        encoder = scene.model.encoder.train()
        require_learning(scene, encoder, reached(encoder(scene.world.batch(0, B).first), trainable(encoder)))


def encoder_independent(subject: Subject) -> None:
    """An example's parameters do not depend on the others of its batch."""
    for scene in subject.scenes():
        x = scene.world.batch(0, B).first
        other = torch.cat([x[:1], scene.world.batch(30, B - 1).first])
        _compare_rows(scene, lambda x, scene=scene: [scene.model.encoder(x)], (x,), (other,))


def _encoder_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"encoder": (scene.model.encoder, {"x": scene.world.batch(0, EXPORT_ROWS).first})}


# Decoder.


def _decoder_outputs(scene: Scene) -> list[Tensor]:
    with torch.no_grad():
        return [scene.model.decoder(scene.z(B))]


def decoder_shape(subject: Subject) -> None:
    """Likelihood numbers (B, P*C, H, W) or (B, P*F), for any batch size."""
    for scene in subject.scenes():
        first, *rest = scene.world.info.shape.sizes
        for count in (1, 3):
            with torch.no_grad():
                found = scene.model.decoder(scene.z(count))
            require_shape("the output", found, (count, scene.model.likelihood.P * first, *rest), scene)


def decoder_layout(subject: Subject) -> None:
    """The layout covers all D dimensions once, in order, under distinct names."""
    for scene in subject.scenes(setup=False):
        layout, where = scene.model.decoder.layout, f"in the world of {scene.world.name}"
        require(isinstance(layout, LatentLayout), f"layout is {layout!r}, expected a LatentLayout, {where}")
        stop = 0
        for variable in layout:
            require(
                variable.start == stop and variable.stop > stop,
                f"variable {variable.name} covers {variable.start} to {variable.stop}, expected it to start at {stop}, {where}",
            )
            stop = variable.stop
        require(
            stop == scene.world.latent_dim, f"the layout covers {stop} of {scene.world.latent_dim} dimensions, {where}"
        )
        names = [variable.name for variable in layout]
        require(len(set(names)) == len(names), f"the layout has a name twice: {', '.join(names)}, {where}")


def decoder_gradients(subject: Subject) -> None:
    """Every trainable parameter learns, and every latent dimension enters."""
    for scene in subject.scenes():
        scene.stir()
        decoder, z_BD = scene.model.decoder.train(), scene.z(B).requires_grad_()
        gradient_BD, *others = reached(decoder(z_BD), [z_BD, *trainable(decoder)])
        require_learning(scene, decoder, others)
        require(
            bool(gradient_BD.isfinite().all()), f"the gradient of z is not finite, in the world of {scene.world.name}"
        )
        unused = (gradient_BD == 0).all(dim=0).nonzero()[:, 0].tolist()
        require(not unused, f"latent dimensions {unused} change nothing, in the world of {scene.world.name}")


def decoder_independent(subject: Subject) -> None:
    """An example's numbers do not depend on the others of its batch."""
    for scene in subject.scenes():
        z_BD = scene.z(B)
        other = torch.cat([z_BD[:1], scene.z(B - 1, seed=99)])
        _compare_rows(scene, lambda z, scene=scene: [scene.model.decoder(z)], (z_BD,), (other,))


def _decoder_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"decoder": (scene.model.decoder, {"z": scene.z(EXPORT_ROWS)})}


# Posterior.


def _posterior_given(scene: Scene, params_BDK: Tensor, noise: Tensor) -> list[Tensor]:
    posterior = scene.model.posterior
    found = [posterior.draw(params_BDK, noise, mode) for mode in posterior.modes]
    distribution = posterior(params_BDK)
    if has_density(distribution):
        found.append(distribution.log_prob(posterior.draw(params_BDK, noise, "represent").detach() + 0.1))
    return found


def _posterior_outputs(scene: Scene) -> list[Tensor]:
    with torch.no_grad():
        return _posterior_given(scene, scene.params(B), scene.posterior_noise(B))


def posterior_shape(subject: Subject) -> None:
    """Batch shape (B,), event shape (D,), one log probability an example, noise as declared."""
    for scene in subject.scenes():
        posterior, where = scene.model.posterior, f"in the world of {scene.world.name}"
        require(isinstance(posterior.K, int) and posterior.K > 0, f"K is {posterior.K!r}, expected a positive integer")
        require(posterior.noise in ("uniform", "normal"), f"noise is {posterior.noise!r}, expected uniform or normal")
        for count in (1, 3):
            params_BDK = scene.params(count)
            distribution = posterior(params_BDK)
            _require_distribution(scene, distribution, (count,), (scene.world.latent_dim,))
            if has_density(distribution):
                at = posterior.draw(params_BDK, scene.posterior_noise(count), "represent")
                require_shape("log_prob", distribution.log_prob(at), (count,), scene)
        require({"sample", "represent"} <= set(posterior.modes), f"modes are {posterior.modes}, {where}")


def posterior_modes(subject: Subject) -> None:
    """Every mode it lists gives codes (B, D)."""
    for scene in subject.scenes():
        for mode in scene.model.posterior.modes:
            for count in (1, 3):
                z_BD = scene.model.posterior.draw(scene.params(count), scene.posterior_noise(count), mode)
                require_shape(f"the code of mode {mode}", z_BD, (count, scene.world.latent_dim), scene)


def posterior_represent(subject: Subject) -> None:
    """`represent` ignores the noise."""
    for scene in subject.scenes():
        codes = []
        for seed in (25, 26):
            with own_generators():
                codes.append(scene.model.posterior.draw(scene.params(B), scene.posterior_noise(B, seed), "represent"))
        require(torch.equal(*codes), f"represent gives other codes for other noise, in the world of {scene.world.name}")


def posterior_reparameterised(subject: Subject) -> None:
    """`sample` has a gradient to the parameters of every dimension and, where there is a density, moves with the noise."""
    for scene in subject.scenes():
        posterior, params_BDK = scene.model.posterior, scene.params(B).requires_grad_()
        where = f"in the world of {scene.world.name}"
        with own_generators():
            z_BD = posterior.draw(params_BDK, scene.posterior_noise(B), "sample")
        (gradient_BDK,) = reached(z_BD, [params_BDK])
        require(bool(gradient_BDK.isfinite().all()), f"the gradient of the parameters is not finite, {where}")
        require(
            bool(gradient_BDK.abs().sum(dim=-1).all()),
            f"no gradient reaches the parameters from a sampled code, {where}",
        )
        if has_density(posterior(params_BDK)):
            with own_generators():
                other = posterior.draw(params_BDK, scene.posterior_noise(B, seed=26), "sample")
            require(not torch.equal(z_BD, other), f"sample gives the same codes for other noise, {where}")


def posterior_gradients(subject: Subject) -> None:
    """The density has a gradient to the parameters, and what the posterior itself learns gets one."""
    for scene in subject.scenes():
        scene.stir()
        posterior, params_BDK = scene.model.posterior.train(), scene.params(B).requires_grad_()
        found = _posterior_given(scene, params_BDK, scene.posterior_noise(B))
        gradients = [reached(value, [params_BDK, *trainable(posterior)]) for value in found]
        require_learning(
            scene, posterior, [sum(values[1:], values[0]) for values in list(zip(*gradients, strict=True))[1:]]
        )
        if has_density(posterior(params_BDK)):
            gradient_BDK = gradients[-1][0]
            where = f"in the world of {scene.world.name}"
            require(bool(gradient_BDK.isfinite().all()), f"the gradient of log_prob is not finite, {where}")
            require(bool(gradient_BDK.any()), f"no gradient reaches the parameters from log_prob, {where}")


def posterior_independent(subject: Subject) -> None:
    """An example's code and density do not depend on the others of its batch."""
    for scene in subject.scenes():
        params_BDK, noise = scene.params(B), scene.posterior_noise(B)
        others = (
            torch.cat([params_BDK[:1], scene.params(B - 1, seed=98)]),
            torch.cat([noise[:1], scene.posterior_noise(B - 1, seed=97)]),
        )
        _compare_rows(scene, lambda *values, scene=scene: _posterior_given(scene, *values), (params_BDK, noise), others)


# Prior.


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
        _require_distribution(scene, prior(), (), (D,))
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
        _compare_rows(scene, lambda noise, scene=scene: [scene.model.prior.from_noise(noise)], (noise_BN,), (other,))


def _prior_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"from_noise": (FromNoise(scene.model.prior), {"noise": _prior_noise(scene, EXPORT_ROWS)})}


# Likelihood.


class Mean(nn.Module):
    """A likelihood's mean, as a forward pass."""

    def __init__(self, likelihood: nn.Module) -> None:
        super().__init__()
        self.likelihood = likelihood

    def forward(self, raw: Tensor) -> Tensor:
        mean: Tensor = self.likelihood.mean(raw)  # type: ignore[operator]
        return mean


def _likelihood_given(scene: Scene, raw: Tensor, x: Tensor) -> list[Tensor]:
    likelihood = scene.model.likelihood
    return [likelihood.mean(raw), likelihood(raw).log_prob(x)]


def _likelihood_outputs(scene: Scene) -> list[Tensor]:
    with torch.no_grad():
        return _likelihood_given(scene, scene.raw(B), scene.world.batch(0, B).first)


def likelihood_shape(subject: Subject) -> None:
    """The data's shape as event shape, one log probability an example, a mean of the data's shape."""
    for scene in subject.scenes():
        likelihood, sizes = scene.model.likelihood, scene.world.info.shape.sizes
        require(
            isinstance(likelihood.P, int) and likelihood.P > 0, f"P is {likelihood.P!r}, expected a positive integer"
        )
        for count in (1, 3):
            raw = scene.raw(count)
            distribution = likelihood(raw)
            _require_distribution(scene, distribution, (count,), sizes)
            require_shape("log_prob", distribution.log_prob(scene.world.batch(0, count).first), (count,), scene)
            require_shape("the mean", likelihood.mean(raw), (count, *sizes), scene)


def likelihood_range(subject: Subject) -> None:
    """The mean of images lies in [0, 1], whatever the decoder gives."""
    for scene in subject.scenes():
        if scene.world.info.shape.is_image:
            mean = scene.model.likelihood.mean(scene.raw(B, scale=30.0))
            low, high = mean.min().item(), mean.max().item()
            require(
                low >= 0 and high <= 1,
                f"the mean goes from {low:.3g} to {high:.3g}, expected [0, 1], in the world of {scene.world.name}",
            )


def likelihood_gradients(subject: Subject) -> None:
    """The density has a gradient to all P numbers of every value, and what the likelihood itself learns gets one."""
    for scene in subject.scenes():
        likelihood, raw = scene.model.likelihood.train(), scene.raw(B).requires_grad_()
        density_B = likelihood(raw).log_prob(scene.world.batch(0, B).first)
        gradient, *others = reached(density_B, [raw, *trainable(likelihood)])
        where = f"in the world of {scene.world.name}"
        require(bool(gradient.isfinite().all()), f"the gradient of the decoder's numbers is not finite, {where}")
        unused = (gradient == 0).flatten(2).all(dim=2).all(dim=0) if gradient.dim() > 2 else (gradient == 0).all(dim=0)
        require(
            not bool(unused.any()),
            f"{int(unused.sum())} of the decoder's {len(unused)} channels get no gradient: P is too large, {where}",
        )
        require_learning(scene, likelihood, others)


def likelihood_independent(subject: Subject) -> None:
    """An example's mean and density do not depend on the others of its batch."""
    for scene in subject.scenes():
        raw, x = scene.raw(B), scene.world.batch(0, B).first
        others = (torch.cat([raw[:1], 2 * raw[1:].flip(0)]), torch.cat([x[:1], scene.world.batch(30, B - 1).first]))
        _compare_rows(scene, lambda *values, scene=scene: _likelihood_given(scene, *values), (raw, x), others)


def _likelihood_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"mean": (Mean(scene.model.likelihood), {"raw": scene.raw(EXPORT_ROWS)})}


def _compare_rows(
    scene: Scene,
    given: Callable[..., list[Tensor]],
    inputs: tuple[Tensor, ...],
    others: tuple[Tensor, ...],
) -> None:
    """Two batches whose first rows alone agree."""
    with torch.no_grad():
        with own_generators():
            before = given(*inputs)
        with own_generators():
            after = given(*others)
    require_row("the output", before, after, scene)


def _require_distribution(scene: Scene, found: Distribution, batch: tuple[int, ...], event: tuple[int, ...]) -> None:
    shapes = (tuple(found.batch_shape), tuple(found.event_shape))
    require(
        shapes == (batch, event),
        f"the distribution has batch and event shape {shapes[0]} and {shapes[1]}, expected {batch} and {event}, in the world of "
        f"{scene.world.name}",
    )


_BUILDS: Check[Subject] = Check("builds", parts.builds, ("defaults",))
_PURE = ("shape", "generator", "deterministic")

ENCODER = (
    _BUILDS,
    Check("shape", encoder_shape, ("builds",)),
    *parts.common(_encoder_outputs),
    Check("gradients", encoder_gradients, ("shape",)),
    Check("independent", encoder_independent, _PURE),
    Check("export", parts.exports(_encoder_exports), (*_PURE, "independent")),
)
POSTERIOR = (
    _BUILDS,
    Check("shape", posterior_shape, ("builds",)),
    Check("modes", posterior_modes, ("shape",)),
    *parts.common(_posterior_outputs, "modes"),
    Check("represent", posterior_represent, ("modes",)),
    Check("reparameterised", posterior_reparameterised, ("modes",)),
    Check("gradients", posterior_gradients, ("modes",)),
    Check("independent", posterior_independent, ("modes", "generator", "deterministic")),
)
PRIOR = (
    _BUILDS,
    Check("shape", prior_shape, ("builds",)),
    *parts.common(_prior_outputs),
    Check("law", prior_law, _PURE),
    Check("gradients", prior_gradients, ("shape",)),
    Check("independent", prior_independent, _PURE),
    Check("export", parts.exports(_prior_exports), (*_PURE, "independent")),
)
DECODER = (
    _BUILDS,
    Check("layout", decoder_layout, ("builds",)),
    Check("shape", decoder_shape, ("layout",)),
    *parts.common(_decoder_outputs),
    Check("gradients", decoder_gradients, ("shape",)),
    Check("independent", decoder_independent, _PURE),
    Check("export", parts.exports(_decoder_exports), (*_PURE, "independent")),
)
LIKELIHOOD = (
    _BUILDS,
    Check("shape", likelihood_shape, ("builds",)),
    *parts.common(_likelihood_outputs),
    Check("range", likelihood_range, ("shape",)),
    Check("gradients", likelihood_gradients, ("shape",)),
    Check("independent", likelihood_independent, _PURE),
    Check("export", parts.exports(_likelihood_exports), (*_PURE, "independent")),
)
