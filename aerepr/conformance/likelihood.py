"""Checks of a likelihood.

Shape letters: B batch, P likelihood numbers a value.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
            require_distribution(scene, distribution, (count,), sizes)
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
        compare_rows(scene, lambda *values, scene=scene: _likelihood_given(scene, *values), (raw, x), others)


def _likelihood_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"mean": (Mean(scene.model.likelihood), {"raw": scene.raw(EXPORT_ROWS)})}


LIKELIHOOD = (
    BUILDS,
    Check("shape", likelihood_shape, ("builds",)),
    *common(_likelihood_outputs),
    Check("range", likelihood_range, ("shape",)),
    Check("gradients", likelihood_gradients, ("shape",)),
    Check("independent", likelihood_independent, PURE),
    Check("export", exports(_likelihood_exports), (*PURE, "independent")),
)
