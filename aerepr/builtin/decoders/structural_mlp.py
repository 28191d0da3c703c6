"""Structural decoder for vectors: a learned constant, refined by linear blocks, into which z enters piece by piece.

As the structural decoder for images, with vectors for feature maps and linear layers for convolutions: variable i
scales and shifts the features before block 1 + (i - 1) depth / n.

Source: Leeb et al. 2023, "Structure by Architecture", section 3; the form for vectors is ours.
Shape letters: N variables, B batch, I dimensions of a variable, D latent dimensions, F features, P likelihood numbers a
value.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.errors import ShapeError
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.layers.mlp import NONLINEARITIES, Nonlinearity
from aerepr.layers.positions import str_tfm_positions
from aerepr.layers.str_tfm import Cascade, StrTfm
from aerepr.spec.base import ComponentSpec


class StructuralMLPDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "structural_mlp"`."""

    variables: PositiveInt | None = Field(
        None, description="n, number of variables, one Str-Tfm layer each; left out: one for each latent dimension"
    )
    width: PositiveInt = Field(128, description="width of every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: one for each variable")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
    hidden: list[PositiveInt] | None = Field(None, description="hidden widths of each Str-Tfm MLP; left out: [w, 2w]")
    identity_start: bool = Field(False, description="zero the last bias of each MLP: scales start nearer 1, shifts 0")


class StructuralMLPDecoder(Decoder):
    """Codes to vectors through Str-Tfm layers, one variable a layer."""

    Spec = StructuralMLPDecoderSpec

    def __init__(self, spec: StructuralMLPDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if ctx.data.shape.is_image:
            raise ShapeError(
                f'the structural_mlp decoder needs vectors, the data is an {ctx.data.shape}: use name = "structural"'
            )
        count = spec.variables or ctx.latent_dim
        self.layout = LatentLayout.equal(ctx.latent_dim, count)
        depth = spec.depth or count
        hidden = [spec.width, 2 * spec.width] if spec.hidden is None else spec.hidden
        inputs = ctx.latent_dim // count
        str_tfm = StrTfm(count, inputs, hidden, spec.width, spec.nonlinearity, spec.identity_start)
        blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(spec.width, spec.width), NONLINEARITIES[spec.nonlinearity]()) for _ in range(depth)
        )
        positions = str_tfm_positions(depth, count)
        self.cascade = Cascade((spec.width,), blocks, positions, str_tfm)
        self.output = nn.Linear(spec.width, ctx.P * ctx.data.shape.values)
        self.pieces = (count, inputs)
        self.resolved = {"depth": depth, "layers": list(positions), "hidden": hidden}

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*F), the first number of all features first."""
        z_NBI = z_BD.unflatten(1, self.pieces).transpose(0, 1)
        return self.output(self.cascade(z_NBI))
