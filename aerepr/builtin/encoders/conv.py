"""Hourglass encoder: conv blocks that halve the image now and then, and an MLP to the posterior's parameters.

Where the halvings sit, for any size and depth, is the rule of `aerepr.layers.positions`.

Source: Leeb et al. 2023, "Structure by Architecture", and the authors' configurations.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.errors import ShapeError
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.layers.conv import ConvBlock
from aerepr.layers.mlp import MLP, Nonlinearity
from aerepr.layers.positions import default_depth, encoder_halvings
from aerepr.spec.base import ComponentSpec


class ConvEncoderSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "conv"`."""

    width: PositiveInt = Field(64, description="channels of every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: 12 up to 64 pixels, 16 above")
    first_kernel: PositiveInt = Field(5, description="side of the first block's kernel, odd")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
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
        if spec.first_kernel % 2 == 0:
            raise ShapeError(f"first_kernel must be odd, got {spec.first_kernel}: use {spec.first_kernel + 1}")
        channels, height, width = ctx.data.shape.sizes
        depth = spec.depth or default_depth(height, width)
        halvings = encoder_halvings(height, width, depth)
        self.blocks = nn.Sequential(
            *(
                ConvBlock(
                    spec.width if number > 1 else channels,
                    spec.width,
                    spec.nonlinearity,
                    kernel=3 if number > 1 else spec.first_kernel,
                    pool=number in halvings,
                )
                for number in range(1, depth + 1)
            )
        )
        hidden = spec.hidden
        if hidden is None:
            hidden = [4 * spec.width, 2 * spec.width, spec.width][: 2 if depth <= 12 else 3]
        features = spec.width * (height >> len(halvings)) * (width >> len(halvings))
        self.projection = MLP(features, hidden, ctx.latent_dim * ctx.K, spec.nonlinearity)
        self.numbers = (ctx.latent_dim, ctx.K)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        return self.projection(self.blocks(x_BCHW).flatten(1)).unflatten(1, self.numbers)
