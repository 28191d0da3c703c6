"""Four halvings, each with a convolution that keeps the size, then one over all that is left: for 128 pixels.

    [conv w 4x4 /2, conv w 3x3] four times, conv w of the size of what is left, conv w 1x1, conv w 1x1; linear D K; ReLU between

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, as in the authors' code.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_flow.networks import root


class FlowConv128Spec(ComponentSpec):
    """Table `[model.encoder]` with `name = "flow_conv128"`."""

    width: PositiveInt | None = Field(
        None, description="w, channels of every convolution; left out: the latent size, as published"
    )


class FlowConv128(Encoder):
    """Images whose height and width 16 divides to posterior parameters."""

    Spec = FlowConv128Spec

    def __init__(self, spec: FlowConv128Spec, ctx: BuildContext) -> None:
        super().__init__()
        w = spec.width or ctx.latent_dim
        self.numbers = (ctx.latent_dim, ctx.K)
        layers: list[nn.Module] = []
        for channels in (ctx.data.shape.channels, w, w, w):
            layers += [
                nn.Conv2d(channels, w, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(w, w, 3, padding=1),
                nn.ReLU(),
            ]
        for kernel in (root(ctx.data.shape, 16, "flow_conv128 encoder"), 1, 1):
            layers += [nn.Conv2d(w, w, kernel), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(w, prod(self.numbers)))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        params_BDK: Tensor = self.network(x_BCHW).unflatten(1, self.numbers)
        return params_BDK
