"""Decoder for dSprites: two linear layers, then four transposed convolutions that double the image.

    linear 128; linear 64 h w; deconv 64, 64, 32, P C, each 4x4 of stride 2; ReLU between

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, P likelihood numbers a value.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.networks import root


class DeconvFCSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "deconv_fc"`."""

    width: PositiveInt = Field(32, description="channels of the last hidden map; those before have twice as many")
    hidden: PositiveInt = Field(128, description="units of the first linear layer")


class DeconvFC(Decoder):
    """Codes to images."""

    Spec = DeconvFCSpec

    def __init__(self, spec: DeconvFCSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        size = (2 * spec.width, *root(ctx.data.shape, 4, "deconv_fc decoder"))
        self.network = nn.Sequential(
            nn.Linear(ctx.latent_dim, spec.hidden),
            nn.ReLU(),
            nn.Linear(spec.hidden, prod(size)),
            nn.ReLU(),
            nn.Unflatten(1, size),
            nn.ConvTranspose2d(2 * spec.width, 2 * spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * spec.width, 2 * spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * spec.width, spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(spec.width, ctx.P * ctx.data.shape.channels, 4, stride=2, padding=1),
        )

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        raw_BCHW: Tensor = self.network(z_BD)
        return raw_BCHW
