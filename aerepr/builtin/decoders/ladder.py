"""Ladder decoder, VLAE-n: a learned constant image, refined by conv blocks, to which z is joined piece by piece.

z is split into n equal variables. An MLP turns variable i into features, the same at all pixels, that join the channels
before block 1 + (i - 1) depth / n; what they join has as many channels fewer, so that every block sees the same width.

Source: Zhao et al. 2017, "Learning Hierarchical Features from Generative Models" (the ladder); Leeb et al. 2023,
"Structure by Architecture", and the authors' configurations.
Shape letters: N variables, B batch, I dimensions of a variable, F features of a variable, D latent dimensions, C channels,
H height, W width, P likelihood numbers a value.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.errors import ShapeError
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.layers.conv import Upsampling, decoder_blocks, resolved
from aerepr.layers.mlp import MLPs, Nonlinearity
from aerepr.layers.positions import decoder_plan, str_tfm_positions
from aerepr.spec.base import ComponentSpec


class LadderDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "ladder"`."""

    variables: PositiveInt | None = Field(
        None, description="n, number of variables, one rung each; left out: one for each latent dimension"
    )
    width: PositiveInt = Field(64, description="channels that enter every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: 12 up to 64 pixels, 16 above")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
    upsample: Upsampling = Field(
        "bilinear", description="how a block doubles: bilinear before its convolution, or a transposed 4x4 one instead"
    )
    hidden: list[PositiveInt] | None = Field(
        None, description="hidden widths of each rung's MLP; left out: [w, 2w] up to 12 blocks, [w/2, w, 2w] above"
    )
    features: PositiveInt | None = Field(
        None, description="how many of the channels that enter a rung's block are its own; left out: w/4"
    )


class LadderDecoder(Decoder):
    """Codes to images through rungs, one variable a rung.

    Attributes:
        positions: numbers, from 1, of the blocks that a rung precedes.
    """

    Spec = LadderDecoderSpec

    def __init__(self, spec: LadderDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if not ctx.data.shape.is_image:
            raise ShapeError(
                f'the ladder decoder needs images, the data is a {ctx.data.shape}: use name = "structural_mlp"'
            )
        count = spec.variables or ctx.latent_dim
        self.layout = LatentLayout.equal(ctx.latent_dim, count)
        features = max(1, spec.width // 4) if spec.features is None else spec.features
        if features >= spec.width:
            raise ShapeError(
                f"a rung's {features} features leave nothing of {spec.width} channels: use fewer features, or more width"
            )
        channels, height, width = ctx.data.shape.sizes
        plan = decoder_plan(height, width, spec.depth)
        self.positions = str_tfm_positions(plan.depth, count, "rungs")
        hidden = plan.taper(2 * spec.width)[::-1] if spec.hidden is None else spec.hidden
        self.pieces = (count, ctx.latent_dim // count)
        self.rungs = MLPs(*self.pieces, hidden, features, spec.nonlinearity)
        self.root = nn.Parameter(torch.randn(spec.width - features, *plan.root))
        self.blocks = decoder_blocks(
            plan, spec.width, ctx.P * channels, spec.nonlinearity, spec.upsample, features, self.positions
        )
        self.resolved = resolved(
            plan, "upsamplings", self.blocks, rungs=list(self.positions), features=features, hidden=hidden
        )

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        z_NBI = z_BD.unflatten(1, self.pieces).transpose(0, 1)
        rungs = iter(self.rungs(z_NBI).unbind(0))
        content_BCHW = self.root.expand(z_BD.shape[0], -1, -1, -1)
        for number, block in enumerate(self.blocks, 1):
            if number in self.positions:
                features_BFHW = next(rungs)[:, :, None, None].expand(-1, -1, *content_BCHW.shape[2:])
                # What is only expanded has no layout, and would cost a channels-last content its own.
                features_BFHW = features_BFHW.to(content_BCHW.dtype).contiguous(memory_format=torch.channels_last)
                content_BCHW = torch.cat([content_BCHW, features_BFHW], dim=1)
            content_BCHW = block(content_BCHW)
        return content_BCHW
