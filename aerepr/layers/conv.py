"""The conv block of the hourglass networks, the upsampling stencil inside it, and the stacks that blocks form.

Inside a block, in this order: bilinear x2 upsampling (decoders) -> convolution -> 2x2 max-pooling (encoders) ->
GroupNorm -> nonlinearity. In the network for the robot finger, the convolution itself resizes instead: a stride of 2
halves, a transposed 4x4 convolution doubles.

Source: Leeb et al. 2023, "Structure by Architecture", and the authors' code, which pools before it normalises.
Shape letters: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Collection
from math import gcd
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aerepr.errors import ShapeError
from aerepr.layers.mlp import NONLINEARITIES, Nonlinearity
from aerepr.layers.positions import Plan

Downsampling = Literal["pool", "stride"]
Upsampling = Literal["bilinear", "transposed"]


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


def _conv(
    inputs: int, outputs: int, kernel: int, upsample: Upsampling | None, downsample: Downsampling | None
) -> nn.Module:
    if upsample == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Conv2d(inputs, outputs, kernel, stride=2 if downsample == "stride" else 1, padding=kernel // 2)


class ConvBlock(nn.Module):
    """Convolution that may double or halve the size, GroupNorm, nonlinearity.

    Args:
        inputs, outputs: channels. kernel: odd side of the kernel, where it is not a transposed one.
        upsample: how the size doubles. downsample: how it halves. None: it does not.

    Attributes:
        upsample, downsample: as given, so that positions can be read off a built network.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        nonlinearity: Nonlinearity,
        kernel: int = 3,
        upsample: Upsampling | None = None,
        downsample: Downsampling | None = None,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.downsample = downsample
        self.conv = _conv(inputs, outputs, kernel, upsample, downsample)
        self.norm = nn.GroupNorm(gcd(8, outputs), outputs)
        self.nonlinearity = NONLINEARITIES[nonlinearity]()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, outputs, H', W'), with H' = 2H, H or H/2."""
        if self.upsample == "bilinear":
            x_BCHW = upsample2x(x_BCHW)
        x_BCHW = self.conv(x_BCHW)
        if self.downsample == "pool":
            x_BCHW = nn.functional.max_pool2d(x_BCHW, 2)
        # Not `self.norm(x)`: its check of the batch size reads sizes as Python numbers, which a trace warns of.
        norm = self.norm
        x_BCHW = torch.group_norm(x_BCHW, norm.num_groups, norm.weight, norm.bias, norm.eps)
        return self.nonlinearity(x_BCHW)


class OutputConv(nn.Module):
    """The last block of a decoder: a convolution that may double the size, with neither norm nor nonlinearity.

    Args:
        inputs, outputs: channels. upsample: how the size doubles; None: it does not.
    """

    def __init__(self, inputs: int, outputs: int, upsample: Upsampling | None) -> None:
        super().__init__()
        self.upsample = upsample
        self.conv = _conv(inputs, outputs, 3, upsample, None)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Unconstrained numbers (B, outputs, H', W'), with H' = 2H or H."""
        return self.conv(upsample2x(x_BCHW) if self.upsample == "bilinear" else x_BCHW)


class MixedFirst(nn.Module):
    """An `OutputConv` that doubles the size bilinearly, as the same map at less cost; exported files hold it in its place.

    Upsampling treats every channel alike, so channels may be mixed before it, where there are a quarter of the pixels. With
    W_k the weights of tap k of the kernel,

        conv(up(x)) = bias + sum_k shift_k(up(W_k x)),

    and shifts let zeros in, as the padding of the convolution does.

    Args:
        block: whose weights are taken; `pays` says if it is worth while.
    """

    def __init__(self, block: OutputConv) -> None:
        super().__init__()
        weight, bias = (block.conv.get_parameter(name).detach() for name in ("weight", "bias"))
        self.outputs = weight.shape[0]
        # Taps in the order of rows, the outputs of each together.
        self.mix = nn.Parameter(weight.permute(2, 3, 0, 1).reshape(-1, weight.shape[1], 1, 1), requires_grad=False)
        self.bias = nn.Parameter(bias.view(-1, 1, 1), requires_grad=False)

    @staticmethod
    def pays(block: OutputConv) -> bool:
        """Whether at most half as many channels are upsampled, as 27 instead of 64 where red, green and blue come out."""
        outputs, inputs = block.conv.get_parameter("weight").shape[:2]
        return block.upsample == "bilinear" and 2 * 9 * outputs <= inputs

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """As `OutputConv.forward`."""
        taps = F.pad(upsample2x(F.conv2d(x_BCHW, self.mix)), (1, 1, 1, 1))
        total: Tensor = self.bias
        for tap in range(9):
            rows, columns = (slice(start, start - 2 if start < 2 else None) for start in divmod(tap, 3))
            total = total + taps[:, tap * self.outputs : (tap + 1) * self.outputs, rows, columns]
        return total


def resolved(plan: Plan, resizings: str, blocks: nn.Module, **own: object) -> dict[str, object]:
    """What `check` shows of a stack of blocks and its plan, for `Part.resolved`.

    Args:
        resizings: what those of the plan are called. own: what a component chose besides.

    Returns:
        Among others the groups of the GroupNorms: each number once, the first first.
    """
    groups = dict.fromkeys(module.num_groups for module in blocks.modules() if isinstance(module, nn.GroupNorm))
    placed = {"depth": plan.depth, resizings: list(plan.resizings), "root": list(plan.root)}
    return {**placed, **own, "groups": list(groups)}


def encoder_blocks(
    plan: Plan, inputs: int, width: int, first_kernel: int, nonlinearity: Nonlinearity, downsample: Downsampling
) -> nn.Sequential:
    """The blocks of an encoder.

    Args:
        inputs: channels of the image. width: channels of every block. first_kernel: side of the first kernel.

    Raises:
        ShapeError: the first kernel is even.
    """
    if first_kernel % 2 == 0:
        raise ShapeError(f"first_kernel must be odd, got {first_kernel}: use {first_kernel + 1}")
    return nn.Sequential(
        *(
            ConvBlock(
                width if number > 1 else inputs,
                width,
                nonlinearity,
                kernel=3 if number > 1 else first_kernel,
                downsample=downsample if number in plan.resizings else None,
            )
            for number in range(1, plan.depth + 1)
        )
    )


def decoder_blocks(
    plan: Plan,
    width: int,
    outputs: int,
    nonlinearity: Nonlinearity,
    upsample: Upsampling,
    joined: int = 0,
    positions: Collection[int] = (),
) -> nn.ModuleList:
    """The blocks of a decoder, the output convolution counted as the last.

    Args:
        width: channels that enter every block. outputs: channels of the last.
        joined: how many of the channels that enter the blocks in `positions` come from elsewhere than the block before.
    """
    how = [upsample if number in plan.resizings else None for number in range(1, plan.depth + 1)]
    blocks: list[nn.Module] = [
        ConvBlock(width, width - joined if number + 1 in positions else width, nonlinearity, upsample=how[number - 1])
        for number in range(1, plan.depth)
    ]
    return nn.ModuleList([*blocks, OutputConv(width, outputs, upsample=how[-1])])
