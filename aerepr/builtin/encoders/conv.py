"""Hourglass encoder: conv blocks that halve the image now and then, and an MLP to the posterior's parameters.

Where the halvings sit, for any size and depth, is the rule of `aerepr.layers.positions`.

Source: Leeb et al. 2023, "Structure by Architecture", and the authors' configurations.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.layers.conv import Downsampling, encoder_blocks, resolved
from aerepr.layers.mlp import MLP, Nonlinearity
from aerepr.layers.positions import encoder_plan
from aerepr.spec.base import ComponentSpec


class ConvEncoderSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "conv"`."""

    width: PositiveInt = Field(64, description="channels of every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: 12 up to 64 pixels, 16 above")
    first_kernel: PositiveInt = Field(5, description="side of the first block's kernel, odd")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
    downsample: Downsampling = Field(
        "pool", description="how a block halves the image: max-pooling after its convolution, or a stride of it"
    )
    hidden: list[PositiveInt] | None = Field(
        None, description="hidden widths of the projection; left out: [4w, 2w] up to 12 blocks, [4w, 2w, w] above"
    )


class ConvEncoder(Encoder):
    """Images to posterior parameters by convolution."""

    Spec = ConvEncoderSpec

    def __init__(self, spec: ConvEncoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if not ctx.data.shape.is_image:
            raise ShapeError(f'the conv encoder needs images, the data is a {ctx.data.shape}: use name = "mlp"')
        channels, height, width = ctx.data.shape.sizes
        plan = encoder_plan(height, width, spec.depth)
        self.blocks = encoder_blocks(plan, channels, spec.width, spec.first_kernel, spec.nonlinearity, spec.downsample)
        hidden = plan.taper(4 * spec.width) if spec.hidden is None else spec.hidden
        features = spec.width * prod(plan.root)
        self.projection = MLP(features, hidden, ctx.latent_dim * ctx.K, spec.nonlinearity)
        self.numbers = (ctx.latent_dim, ctx.K)
        self.resolved = resolved(plan, "halvings", self.blocks, hidden=hidden)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        return self.projection(self.blocks(x_BCHW).flatten(1)).unflatten(1, self.numbers)
