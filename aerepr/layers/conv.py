"""The conv block of the hourglass networks, and the upsampling stencil inside it.

Inside a block, in this order: bilinear x2 upsampling (decoders) -> convolution -> 2x2 max-pooling (encoders) ->
GroupNorm -> nonlinearity.

Source: Leeb et al. 2023, "Structure by Architecture", and the authors' code, which pools before it normalises.
Shape letters: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Collection
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aerepr.layers.mlp import NONLINEARITIES, Nonlinearity


def upsample2x(x_BCHW: Tensor) -> Tensor:
    """Bilinear upsampling to twice the size, `align_corners=False`, with a deterministic gradient on every device."""
    if x_BCHW.is_cuda:
        # There the gradient of `interpolate` is a sum of atomics, in any order.
        return stencil2x(x_BCHW)
    return F.interpolate(x_BCHW, scale_factor=2.0, mode="bilinear", align_corners=False)


def stencil2x(x_BCHW: Tensor) -> Tensor:
    """The same as a fixed stencil of slices: 3/4 of the nearest input and 1/4 of the next on its side, axis by axis."""
    return _upsample_axis(_upsample_axis(x_BCHW, 2), 3)


def _upsample_axis(x_BCHW: Tensor, axis: int) -> Tensor:
    size = x_BCHW.shape[axis]
    # The edge pixel stands in for its missing neighbour. Not `pad(mode="replicate")`: its gradient on CUDA is atomic.
    padded = torch.cat([x_BCHW.narrow(axis, 0, 1), x_BCHW, x_BCHW.narrow(axis, size - 1, 1)], axis)
    here, there = padded.narrow(axis, 0, size + 1), padded.narrow(axis, 1, size + 1)
    even = torch.lerp(here, there, 0.75).narrow(axis, 0, size)
    odd = torch.lerp(here, there, 0.25).narrow(axis, 1, size)
    # Not `stack`, which would lose a channels-last layout along the last axis.
    pairs = torch.cat([even.unflatten(axis, (-1, 1)), odd.unflatten(axis, (-1, 1))], axis + 1)
    return pairs.flatten(axis, axis + 1)


class ConvBlock(nn.Module):
    """Optional upsampling, same-padded convolution, optional pooling, GroupNorm, nonlinearity.

    Args:
        inputs, outputs: channels. kernel: odd side of the kernel.
        upsample: double the size first. pool: halve it after the convolution.

    Attributes:
        upsample, pool: as given, so that positions can be read off a built network.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        nonlinearity: Nonlinearity,
        kernel: int = 3,
        upsample: bool = False,
        pool: bool = False,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.pool = pool
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(gcd(8, outputs), outputs)
        self.nonlinearity = NONLINEARITIES[nonlinearity]()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, outputs, H', W'), with H' = 2H, H or H/2."""
        if self.upsample:
            x_BCHW = upsample2x(x_BCHW)
        x_BCHW = self.conv(x_BCHW)
        if self.pool:
            x_BCHW = nn.functional.max_pool2d(x_BCHW, 2)
        # Not `self.norm(x)`: its check of the batch size reads sizes as Python numbers, which a trace warns of.
        norm = self.norm
        x_BCHW = torch.group_norm(x_BCHW, norm.num_groups, norm.weight, norm.bias, norm.eps)
        return self.nonlinearity(x_BCHW)


class OutputConv(nn.Module):
    """The last block of a decoder: optional upsampling and a 3x3 convolution, with neither norm nor nonlinearity.

    Args:
        inputs, outputs: channels. upsample: double the size first.
    """

    def __init__(self, inputs: int, outputs: int, upsample: bool) -> None:
        super().__init__()
        self.upsample = upsample
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Unconstrained numbers (B, outputs, H', W'), with H' = 2H or H."""
        return self.conv(upsample2x(x_BCHW) if self.upsample else x_BCHW)


def decoder_blocks(
    width: int, outputs: int, depth: int, upsamplings: Collection[int], nonlinearity: Nonlinearity
) -> nn.ModuleList:
    """The `depth` blocks of a decoder, the output convolution counted as the last.

    Args:
        width: channels of every block. outputs: channels of the last.
        upsamplings: numbers, from 1, of the blocks that upsample first.
    """
    blocks: list[nn.Module] = [
        ConvBlock(width, width, nonlinearity, upsample=number in upsamplings) for number in range(1, depth)
    ]
    return nn.ModuleList([*blocks, OutputConv(width, outputs, upsample=depth in upsamplings)])
