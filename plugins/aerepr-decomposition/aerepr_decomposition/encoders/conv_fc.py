"""Encoder for dSprites: four convolutions that halve the image and a linear layer without activation.

    conv 32, 32, 64, 64, each 4x4 of stride 2 and ReLU; linear 128; linear D K

Between the linear layers there is no nonlinearity, so the two are one map of rank 128, as in the authors' code.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code; the
network of Kim and Mnih 2018, arXiv:1802.05983, but for that nonlinearity.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.networks import root


class ConvFCSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "conv_fc"`."""

    width: PositiveInt = Field(32, description="channels of the first two convolutions; the others have twice as many")
    hidden: PositiveInt = Field(128, description="units of the linear layer")


class ConvFC(Encoder):
    """Images to posterior parameters."""

    Spec = ConvFCSpec

    def __init__(self, spec: ConvFCSpec, ctx: BuildContext) -> None:
        super().__init__()
        features = 2 * spec.width * prod(root(ctx.data.shape, 4, "conv_fc encoder"))
        self.numbers = (ctx.latent_dim, ctx.K)
        self.network = nn.Sequential(
            nn.Conv2d(ctx.data.shape.channels, spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(spec.width, spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(spec.width, 2 * spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * spec.width, 2 * spec.width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(features, spec.hidden),
            nn.Linear(spec.hidden, prod(self.numbers)),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        params_BDK: Tensor = self.network(x_BCHW).unflatten(1, self.numbers)
        return params_BDK
