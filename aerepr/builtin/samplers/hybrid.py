"""Hybrid sampling: each variable of a new code is copied from a stored training code of its own choice.

With a bank of N codes and uniform noise u, variable v comes from code floor(u_v N). Its distribution is the bank's, and
the variables are independent of each other: nothing is assumed of the shape of the latent space, only that its
variables may be combined.

Source: Leeb et al. 2023, "Structure by Architecture", section 4 (128 codes; whole variables for SAE-n).
Shape letters: B batch, S size of the bank, U units drawn, D latent dimensions, N noise width or number of codes.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.sampler import Sampler
from aerepr.layers.noise import key_of, uniforms
from aerepr.spec.base import ComponentSpec


class HybridSamplerSpec(ComponentSpec):
    """Table `[sampler]` with `name = "hybrid"`."""

    size: PositiveInt = Field(128, description="codes in the bank; all there are, if fewer")
    unit: Literal["variable", "dimension"] = Field("variable", description="what is drawn as one piece")
    seed: NonNegativeInt = Field(0, description="which of the training codes make the bank")


class HybridSampler(Sampler):
    """Variables (or dimensions) of stored codes, recombined.

    Attributes:
        bank_SD: the stored codes; rows from `count` on are zero and never drawn.
        count: how many there are, 0-dim.
        unit_D: which unit each dimension belongs to.
    """

    Spec = HybridSamplerSpec
    noise = "uniform"

    def __init__(self, spec: HybridSamplerSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.unit = spec.unit
        self.seed = spec.seed
        # Sizes are those of the spec whatever the codes, so that a saved sampler loads into one that is not fitted.
        self.bank_SD: Tensor
        self.count: Tensor
        self.unit_D: Tensor
        self.register_buffer("bank_SD", torch.zeros(spec.size, ctx.latent_dim))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self._divide(ctx.layout)

    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        """Fill the bank with codes chosen at random, without replacement.

        Raises:
            ShapeError: there are no codes.
        """
        if len(codes_ND) == 0:
            raise ShapeError("the hybrid sampler needs at least 1 code, got 0: encode some training examples")
        self._divide(layout)
        rows_N = torch.arange(len(codes_ND))
        lots_N = uniforms(rows_N, 1, torch.zeros((), dtype=torch.int64), key_of(self.seed, "hybrid/bank"))[:, 0]
        chosen_S = lots_N.argsort(stable=True)[: len(self.bank_SD)]
        self.bank_SD.zero_()
        self.bank_SD[: len(chosen_S)] = codes_ND[chosen_S.to(codes_ND.device)].to(self.bank_SD)
        self.count.fill_(len(chosen_S))

    def forward(self, noise_BN: Tensor) -> Tensor:
        """Codes z (B, D) from uniform noise (B, units) in [0, 1)."""
        # A uniform just below 1 times N can round to N.
        index_BU = torch.minimum((noise_BN * self.count).floor().to(torch.int64), self.count - 1)
        return self.bank_SD.gather(0, index_BU.index_select(1, self.unit_D))

    def _divide(self, layout: LatentLayout) -> None:
        sizes = layout.sizes if self.unit == "variable" else [1] * layout.latent_dim
        units = [unit for unit, size in enumerate(sizes) for _ in range(size)]
        self.register_buffer("unit_D", torch.tensor(units, device=self.bank_SD.device))
        self.noise_dim = len(sizes)
