"""Encoder for Fashion-MNIST: convolutions that halve the image, batch normalisation, and a convolution over what is left.

    conv 32; conv 64, norm; conv 128, norm; leaky ReLU of slope 0.2 after each; conv of the whole map, D K

The convolutions are 4x4 of stride 2 and without bias, but for the last. A training batch is normalised by its own moments, so
its size matters, and each process by those of its part; everything else by their running means.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code; the style
and the first weights are those of Radford et al. 2016, arXiv:1511.06434.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from math import prod

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.networks import normal_weights, root

_SLOPE = 0.2


class DCGANEncoderSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "dcgan"`."""

    width: PositiveInt = Field(32, description="channels of the first convolution; each of the next has twice as many")


class DCGANEncoder(Encoder):
    """Images to posterior parameters."""

    Spec = DCGANEncoderSpec

    def __init__(self, spec: DCGANEncoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        size, width = root(ctx.data.shape, 3, "dcgan encoder"), spec.width
        self.numbers = (ctx.latent_dim, ctx.K)
        self.network = normal_weights(
            nn.Sequential(
                nn.Conv2d(ctx.data.shape.channels, width, 4, stride=2, padding=1, bias=False),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(4 * width),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(4 * width, prod(self.numbers), size),
                nn.Flatten(),
            )
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        params_BDK: Tensor = self.network(x_BCHW).unflatten(1, self.numbers)
        return params_BDK
