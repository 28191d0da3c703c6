"""Checks of an encoder.

Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
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
    require_learning,
    require_shape,
    trainable,
)
from aerepr.conformance.result import Check
from aerepr.conformance.world import Scene, Subject


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
        compare_rows(scene, lambda x, scene=scene: [scene.model.encoder(x)], (x,), (other,))


def _encoder_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"encoder": (scene.model.encoder, {"x": scene.world.batch(0, EXPORT_ROWS).first})}


ENCODER = (
    BUILDS,
    Check("shape", encoder_shape, ("builds",)),
    *common(_encoder_outputs),
    Check("gradients", encoder_gradients, ("shape",)),
    Check("independent", encoder_independent, PURE),
    Check("export", exports(_encoder_exports), (*PURE, "independent")),
)
