"""Decoders that break a contract each."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.builtin.decoders.mlp import MLPDecoder
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from tests.conformance.broken.collected import broken, grows


class SmallDecoder(MLPDecoder):
    class Spec(MLPDecoder.Spec):
        width: PositiveInt = Field(8, description="small")


@broken("decoder", "layout")
class Short(SmallDecoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.layout = LatentLayout.unstructured(ctx.latent_dim - 1)


@broken("decoder", "shape")
class FlatDecoder(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        return self.layers(z_BD)[:, :-1]


@broken("decoder", "gradients")
class Blind(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        return super().forward(torch.cat([torch.zeros_like(z_BD[:, :1]), z_BD[:, 1:]], dim=1))


@broken("decoder", "independent")
class CentredDecoder(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        found = super().forward(z_BD)
        return found - found.mean(dim=0)


@broken("decoder", "export")
class FrozenDecoder(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        return grows(super().forward(z_BD), int(z_BD.shape[0]))
