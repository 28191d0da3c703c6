"""Checks of a posterior.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aerepr.conformance.parts import (
    BUILDS,
    B,
    common,
    compare_rows,
    reached,
    require_distribution,
    require_learning,
    require_shape,
    trainable,
)
from aerepr.conformance.result import Check, own_generators, require
from aerepr.conformance.world import Scene, Subject
from aerepr.kinds.distributions import has_density


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
            require_distribution(scene, distribution, (count,), (scene.world.latent_dim,))
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
        compare_rows(scene, lambda *values, scene=scene: _posterior_given(scene, *values), (params_BDK, noise), others)


POSTERIOR = (
    BUILDS,
    Check("shape", posterior_shape, ("builds",)),
    Check("modes", posterior_modes, ("shape",)),
    *common(_posterior_outputs, "modes"),
    Check("represent", posterior_represent, ("modes",)),
    Check("reparameterised", posterior_reparameterised, ("modes",)),
    Check("gradients", posterior_gradients, ("modes",)),
    Check("independent", posterior_independent, ("modes", "generator", "deterministic")),
)
