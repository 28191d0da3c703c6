"""Layers of one pixel, a transposed convolution to a sixteenth of the image, and four that double it: for 128 pixels.

    linear w, deconv w 1x1, deconv w 1x1, deconv w of the size of a sixteenth, [deconv w 4x4 x2, deconv w 3x3] three times,
    deconv w 4x4 x2, deconv P C 3x3; ReLU between

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, as in the authors' code.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, P likelihood numbers a value.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_flow.networks import root


class FlowDeconv128Spec(ComponentSpec):
    """Table `[model.decoder]` with `name = "flow_deconv128"`."""

    width: PositiveInt | None = Field(
        None, description="w, channels of every hidden layer; left out: the latent size, as published"
    )


class FlowDeconv128(Decoder):
    """Codes to images whose height and width 16 divides."""

    Spec = FlowDeconv128Spec

    def __init__(self, spec: FlowDeconv128Spec, ctx: BuildContext) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        w = spec.width or ctx.latent_dim
        layers: list[nn.Module] = [nn.Linear(ctx.latent_dim, w), nn.ReLU(), nn.Unflatten(1, (w, 1, 1))]
        for kernel in (1, 1, root(ctx.data.shape, 16, "flow_deconv128 decoder")):
            layers += [nn.ConvTranspose2d(w, w, kernel), nn.ReLU()]
        for outputs in (w, w, w, ctx.P * ctx.data.shape.channels):
            layers += [nn.ConvTranspose2d(w, w, 4, stride=2, padding=1), nn.ReLU()]
            layers += [nn.ConvTranspose2d(w, outputs, 3, padding=1), nn.ReLU()]
        self.network = nn.Sequential(*layers[:-1])

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        raw_BCHW: Tensor = self.network(z_BD)
        return raw_BCHW
