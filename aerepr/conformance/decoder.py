"""Checks of a decoder.

Shape letters: B batch, D latent dimensions, P likelihood numbers a value.
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
from aerepr.conformance.result import Check, require
from aerepr.conformance.world import Scene, Subject
from aerepr.kinds.layout import LatentLayout


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
        compare_rows(scene, lambda z, scene=scene: [scene.model.decoder(z)], (z_BD,), (other,))


def _decoder_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"decoder": (scene.model.decoder, {"z": scene.z(EXPORT_ROWS)})}


DECODER = (
    BUILDS,
    Check("layout", decoder_layout, ("builds",)),
    Check("shape", decoder_shape, ("layout",)),
    *common(_decoder_outputs),
    Check("gradients", decoder_gradients, ("shape",)),
    Check("independent", decoder_independent, PURE),
    Check("export", exports(_decoder_exports), (*PURE, "independent")),
)
