"""Ladder encoder, VLAE-n: conv blocks that halve the image now and then, with a rung for each variable along the way.

A rung takes the maximum of a block's output over all pixels, and an MLP of its own turns that into the posterior's
parameters of one variable. The deepest rung gives the first variable. Which variables there are the decoder says; rung
i of n, counted from the image, taps block i depth / n.

Source: Zhao et al. 2017, "Learning Hierarchical Features from Generative Models" (the ladder); Leeb et al. 2023,
"Structure by Architecture", and the authors' configurations.
Shape letters: N rungs, B batch, C channels, H height, W width, F features, D latent dimensions, K posterior numbers a
dimension.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.part import BuildContext
from aerepr.layers.conv import Downsampling, encoder_blocks, resolved
from aerepr.layers.mlp import NONLINEARITIES, MLPs, Nonlinearity
from aerepr.layers.positions import encoder_plan, require_blocks, rung_taps
from aerepr.spec.base import ComponentSpec


class LadderEncoderSpec(ComponentSpec):
    """Table `[model.encoder]` with `name = "ladder"`."""

    width: PositiveInt = Field(64, description="channels of every block")
    depth: PositiveInt | None = Field(None, description="number of blocks; left out: 12 up to 64 pixels, 16 above")
    first_kernel: PositiveInt = Field(5, description="side of the first block's kernel, odd")
    nonlinearity: Nonlinearity = Field("mish", description="what follows every layer but the last")
    downsample: Downsampling = Field(
        "pool", description="how a block halves the image: max-pooling after its convolution, or a stride of it"
    )
    hidden: list[PositiveInt] | None = Field(
        None,
        min_length=1,
        description="hidden widths of each rung's MLP; left out: [2w, w] up to 12 blocks, [2w, w, w/2] above",
    )
    halvings: list[PositiveInt] | None = Field(
        None, description="numbers, from 1, of the blocks that halve the image; left out: those of the conv encoder"
    )
    rungs: list[PositiveInt] | None = Field(
        None,
        description="numbers of the blocks that a rung taps, one for each of the decoder's variables, the last block "
        "among them; left out: evenly spread",
    )


class LadderEncoder(Encoder):
    """Images to posterior parameters, a variable from each rung.

    Attributes:
        positions: numbers, from 1, of the blocks that a rung taps.
    """

    Spec = LadderEncoderSpec

    def __init__(self, spec: LadderEncoderSpec, ctx: BuildContext) -> None:
        super().__init__()
        if not ctx.data.shape.is_image:
            raise ShapeError(f'the ladder encoder needs images, the data is a {ctx.data.shape}: use name = "mlp"')
        channels, height, width = ctx.data.shape.sizes
        plan = encoder_plan(height, width, spec.depth, spec.halvings)
        self.sizes = ctx.layout.sizes
        self.positions = self._positions(spec.rungs, plan.depth)
        self.blocks = encoder_blocks(plan, channels, spec.width, spec.first_kernel, spec.nonlinearity, spec.downsample)
        *hidden, features = plan.taper(2 * spec.width) if spec.hidden is None else spec.hidden
        self.rungs = MLPs(len(self.sizes), spec.width, hidden, features, spec.nonlinearity)
        self.nonlinearity = NONLINEARITIES[spec.nonlinearity]()
        # The last layer of each rung, row by row: a row for a dimension, so that variables may differ in size.
        self.rows = MLPs(ctx.latent_dim, features, [], ctx.K, spec.nonlinearity)
        self.resolved = resolved(plan, "halvings", self.blocks, rungs=list(self.positions), hidden=[*hidden, features])

    def _positions(self, rungs: list[int] | None, depth: int) -> tuple[int, ...]:
        if rungs is None:
            return rung_taps(depth, len(self.sizes))
        require_blocks("rungs", rungs, depth)
        if len(rungs) != len(self.sizes):
            raise ShapeError(
                f"rungs names {len(rungs)} blocks and the decoder has {len(self.sizes)} variables: name a block for each"
            )
        if rungs[-1] != depth:
            raise ShapeError(f"nothing sees the blocks after the last rung, {rungs[-1]}: put a rung at block {depth}")
        return tuple(rungs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Posterior parameters (B, D, K) of images (B, C, H, W) in [0, 1]."""
        pooled = []
        for number, block in enumerate(self.blocks, 1):
            x_BCHW = block(x_BCHW)
            if number in self.positions:
                pooled.append(x_BCHW.amax(dim=(2, 3)))
        features_NBF = self.nonlinearity(self.rungs(torch.stack(pooled[::-1])))
        pieces = zip(features_NBF.split(1), self.sizes, strict=True)
        features_DBF = torch.cat([piece.expand(size, -1, -1) for piece, size in pieces])
        return self.rows(features_DBF).transpose(0, 1)
