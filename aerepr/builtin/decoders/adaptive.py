"""Adaptive decoder, AdaAE-n: the structural decoder's network, but every Str-Tfm layer sees the whole of z.

It sets apart what structure does from what Str-Tfm layers do: no dimension belongs to a layer, so the layout is
unstructured.

Source: Leeb et al. 2023, "Structure by Architecture" (AdaAE), and the authors' configurations.
Shape letters: N Str-Tfm layers, B batch, D latent dimensions, C channels, H height, W width, P likelihood numbers a
value.
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


class AdaptiveDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "adaptive"`."""

    layers: PositiveInt | None = Field(
        None, description="n, number of Str-Tfm layers, each seeing the whole latent; left out: one before every block"
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


class AdaptiveDecoder(Decoder):
    """Codes to images through Str-Tfm layers, the whole latent at each."""

    Spec = AdaptiveDecoderSpec

    def __init__(self, spec: AdaptiveDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if not ctx.data.shape.is_image:
            raise ShapeError(f'the adaptive decoder needs images, the data is a {ctx.data.shape}: use name = "mlp"')
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        channels, height, width = ctx.data.shape.sizes
        plan = decoder_plan(height, width, spec.depth)
        hidden = plan.taper(2 * spec.width)[::-1] if spec.hidden is None else spec.hidden
        self.count = spec.layers or plan.depth
        positions = str_tfm_positions(plan.depth, self.count)
        str_tfm = StrTfm(self.count, ctx.latent_dim, hidden, spec.width, spec.nonlinearity, spec.identity_start)
        root_size = (spec.width, *plan.root)
        blocks = decoder_blocks(plan, spec.width, ctx.P * channels, spec.nonlinearity, spec.upsample)
        self.cascade = Cascade(root_size, blocks, positions, str_tfm)
        self.resolved = resolved(plan, "upsamplings", blocks, layers=list(positions), hidden=hidden)

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        return self.cascade(z_BD.expand(self.count, -1, -1))
