"""Decoder for Fashion-MNIST: a transposed convolution from the code to a small map, and three that double it.

    deconv 128 to the smallest map, norm, ReLU; deconv 64, norm, ReLU; deconv 32, norm, ReLU; deconv P C

Those that double are 4x4 of stride 2; none has a bias. A training batch is normalised by its own moments, so its size
matters, and each process by those of its part; everything else by their running means.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code; the style
and the first weights are those of Radford et al. 2016, arXiv:1511.06434.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, P likelihood numbers a value.
"""

from __future__ import annotations

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.kinds.decoder import Decoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.networks import normal_weights, root


class DCGANDecoderSpec(ComponentSpec):
    """Table `[model.decoder]` with `name = "dcgan"`."""

    width: PositiveInt = Field(32, description="channels of the last hidden map; each before has twice as many")


class DCGANDecoder(Decoder):
    """Codes to images."""

    Spec = DCGANDecoderSpec

    def __init__(self, spec: DCGANDecoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.layout = LatentLayout.unstructured(ctx.latent_dim)
        size, width = root(ctx.data.shape, 3, "dcgan decoder"), spec.width
        self.network = normal_weights(
            nn.Sequential(
                nn.Unflatten(1, (ctx.latent_dim, 1, 1)),
                nn.ConvTranspose2d(ctx.latent_dim, 4 * width, size, bias=False),
                nn.BatchNorm2d(4 * width),
                nn.ReLU(),
                nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.ReLU(),
                nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.ConvTranspose2d(width, ctx.P * ctx.data.shape.channels, 4, stride=2, padding=1, bias=False),
            )
        )

    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers (B, P*C, H, W), the first number of all channels first."""
        raw_BCHW: Tensor = self.network(z_BD)
        return raw_BCHW
