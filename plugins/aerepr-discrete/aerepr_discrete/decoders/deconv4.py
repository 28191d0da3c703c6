"""Two hidden layers and four transposed convolutions that double the image: the decoder of D-VAE and of its Gaussian twin.

    linear 256; linear 64 h w; deconv 64, deconv 32, deconv 32, deconv P C, each 4x4 of stride 2; ReLU between

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations", as in the authors' code.
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
from aerepr_discrete.networks import initialised, root


class Deconv4Spec(ComponentSpec):
    """Table `[model.decoder]` with `name = "deconv4"`."""

    width: PositiveInt = Field(32, description="channels of the last two hidden maps; those before have twice as many")
    hidden: PositiveInt = Field(256, description="units of the hidden layer")


class Deconv4(Decoder):
    """Codes to images."""

    Spec = Deconv4Spec

    def __init__(self, spec: Deconv4Spec, ctx: BuildContext) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        size = (2 * spec.width, *root(ctx.data.shape, "deconv4 decoder"))
        self.network = initialised(
            nn.Sequential(
                nn.Linear(ctx.latent_dim, spec.hidden),
                nn.ReLU(),
                nn.Linear(spec.hidden, prod(size)),
                nn.ReLU(),
                nn.Unflatten(1, size),
                nn.ConvTranspose2d(2 * spec.width, 2 * spec.width, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.ConvTranspose2d(2 * spec.width, spec.width, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.ConvTranspose2d(spec.width, spec.width, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.ConvTranspose2d(spec.width, ctx.P * ctx.data.shape.channels, 4, stride=2, padding=1),
            )
        )

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        raw_BCHW: Tensor = self.network(z_BD)
        return raw_BCHW
