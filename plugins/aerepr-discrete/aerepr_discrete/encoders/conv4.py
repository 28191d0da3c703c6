"""Four convolutions that halve the image and a hidden layer: the encoder of D-VAE and of its Gaussian twin.

    conv 32 4x4, conv 32 4x4, conv 64 2x2, conv 64 2x2, each of stride 2; linear 256; linear D K; ReLU between

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations", as in the authors' code; but for the number
of outputs the network of Locatello et al. 2019, arXiv:1811.12359.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_discrete.networks import initialised, root


class Conv4Spec(ComponentSpec):
    """Table `[model.encoder]` with `name = "conv4"`."""

    width: PositiveInt = Field(32, description="channels of the first two convolutions; the others have twice as many")
    hidden: PositiveInt = Field(256, description="units of the hidden layer")


class Conv4(Encoder):
    """Images to posterior parameters."""

    Spec = Conv4Spec

    def __init__(self, spec: Conv4Spec, ctx: BuildContext) -> None:
        super().__init__()
        features = 2 * spec.width * prod(root(ctx.data.shape, "conv4 encoder"))
        self.numbers = (ctx.latent_dim, ctx.K)
        self.network = initialised(
            nn.Sequential(
                nn.Conv2d(ctx.data.shape.channels, spec.width, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(spec.width, spec.width, 4, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(spec.width, 2 * spec.width, 2, stride=2),
                nn.ReLU(),
                nn.Conv2d(2 * spec.width, 2 * spec.width, 2, stride=2),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(features, spec.hidden),
                nn.ReLU(),
                nn.Linear(spec.hidden, prod(self.numbers)),
            )
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        params_BDK: Tensor = self.network(x_BCHW).unflatten(1, self.numbers)
        return params_BDK
