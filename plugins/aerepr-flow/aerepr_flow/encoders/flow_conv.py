"""Two convolutions that halve the image, one over all that is left, and layers of one pixel: for 28 and 64 pixels.

    conv w 4x4 /2, conv 2w 4x4 /2, conv 3w of the size of what is left, conv 2w 1x1, conv 2w 1x1; linear D K; ReLU between

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


class FlowConvSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "flow_conv"`."""

    width: PositiveInt | None = Field(
        None, description="w, channels of the first convolution; left out: the latent size, as published"
    )


class FlowConv(Encoder):
    """Images whose height and width 4 divides to posterior parameters."""

    Spec = FlowConvSpec

    def __init__(self, spec: FlowConvSpec, ctx: BuildContext) -> None:
        super().__init__()
        w = spec.width or ctx.latent_dim
        self.numbers = (ctx.latent_dim, ctx.K)
        self.network = nn.Sequential(
            nn.Conv2d(ctx.data.shape.channels, w, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(w, 2 * w, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * w, 3 * w, root(ctx.data.shape, 4, "flow_conv encoder")),
            nn.ReLU(),
            nn.Conv2d(3 * w, 2 * w, 1),
            nn.ReLU(),
            nn.Conv2d(2 * w, 2 * w, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * w, prod(self.numbers)),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        params_BDK: Tensor = self.network(x_BCHW).unflatten(1, self.numbers)
        return params_BDK
