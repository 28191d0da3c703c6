"""Layers of one pixel, a transposed convolution to a quarter of the image, and two that double it: for 28 and 64 pixels.

    linear w, deconv 2w 1x1, deconv 3w 1x1, deconv 2w of the size of a quarter, deconv w 4x4 x2, deconv P C 4x4 x2; ReLU between

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


class FlowDeconvSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "flow_deconv"`."""

    width: PositiveInt | None = Field(
        None, description="w, units of the first layer and channels of the last hidden map; left out: the latent size"
    )


class FlowDeconv(Decoder):
    """Codes to images whose height and width 4 divides."""

    Spec = FlowDeconvSpec

    def __init__(self, spec: FlowDeconvSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        w = spec.width or ctx.latent_dim
        self.network = nn.Sequential(
            nn.Linear(ctx.latent_dim, w),
            nn.ReLU(),
            nn.Unflatten(1, (w, 1, 1)),
            nn.ConvTranspose2d(w, 2 * w, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * w, 3 * w, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(3 * w, 2 * w, root(ctx.data.shape, 4, "flow_deconv decoder")),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(w, ctx.P * ctx.data.shape.channels, 4, stride=2, padding=1),
        )

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        raw_BCHW: Tensor = self.network(z_BD)
        return raw_BCHW
