"""Structural decoder, SAE-n: a learned constant image, refined by conv blocks, into which z enters piece by piece.

z is split into n equal variables. Variable i scales and shifts the features before block 1 + (i - 1) depth / n, and
nothing else of z reaches them, so variables act in order, from coarse to fine.

Source: Leeb et al. 2023, "Structure by Architecture", section 3, and the authors' configurations.
Shape letters: N variables, B batch, I dimensions of a variable, D latent dimensions, C channels, H height, W width,
P likelihood numbers a value.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.layers.conv import Upsampling, decoder_blocks, resolved
from aerepr.layers.mlp import Nonlinearity
from aerepr.layers.positions import decoder_plan, str_tfm_positions
from aerepr.layers.str_tfm import Cascade, StrTfm
from aerepr.spec.base import ComponentSpec


class StructuralDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "structural"`."""

    variables: PositiveInt | None = Field(
        None, description="n, number of variables, one Str-Tfm layer each; left out: one for each latent dimension"
    )
    width: PositiveInt = Field(64, description="channels of every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: 12 up to 64 pixels, 16 above")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
    upsample: Upsampling = Field(
        "bilinear", description="how a block doubles: bilinear before its convolution, or a transposed 4x4 one instead"
    )
    hidden: list[PositiveInt] | None = Field(
        None, description="hidden widths of each Str-Tfm MLP; left out: [w, 2w] up to 12 blocks, [w/2, w, 2w] above"
    )
    identity_start: bool = Field(False, description="zero the last bias of each MLP: scales start nearer 1, shifts 0")


class StructuralDecoder(Decoder):
    """Codes to images through Str-Tfm layers, one variable a layer."""

    Spec = StructuralDecoderSpec

    def __init__(self, spec: StructuralDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if not ctx.data.shape.is_image:
            raise ShapeError(
                f'the structural decoder needs images, the data is a {ctx.data.shape}: use name = "structural_mlp"'
            )
        count = spec.variables or ctx.latent_dim
        self.layout = LatentLayout.equal(ctx.latent_dim, count)
        channels, height, width = ctx.data.shape.sizes
        plan = decoder_plan(height, width, spec.depth)
        hidden = plan.taper(2 * spec.width)[::-1] if spec.hidden is None else spec.hidden
        positions = str_tfm_positions(plan.depth, count)
        inputs = ctx.latent_dim // count
        str_tfm = StrTfm(count, inputs, hidden, spec.width, spec.nonlinearity, spec.identity_start)
        root_size = (spec.width, *plan.root)
        blocks = decoder_blocks(plan, spec.width, ctx.P * channels, spec.nonlinearity, spec.upsample)
        self.cascade = Cascade(root_size, blocks, positions, str_tfm)
        self.pieces = (count, inputs)
        self.resolved = resolved(plan, "upsamplings", blocks, layers=list(positions), hidden=hidden)

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        z_NBI = z_BD.unflatten(1, self.pieces).transpose(0, 1)
        return self.cascade(z_NBI)
