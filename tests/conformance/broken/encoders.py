"""Encoders that break a contract each; what all modules share is tried on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from aerepr.builtin.encoders.mlp import MLPEncoder, MLPEncoderSpec
from aerepr.errors import ShapeError
from aerepr.kinds.part import BuildContext
from aerepr.spec.base import Schedulable
from tests.conformance.broken.collected import broken, grows


class SmallEncoder(MLPEncoder):
    class Spec(MLPEncoderSpec):
        width: PositiveInt = Field(8, description="small")


@broken("encoder", "builds")
class RefusesBadly(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        raise ValueError("no")


@broken("encoder", "builds")
class FitsNothing(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        raise ShapeError("no")


@broken("encoder", "shape")
class Flat(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(1)


@broken("encoder", "seeded")
class Unseeded(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        with torch.no_grad():
            self.layers[0].bias.add_(np.random.rand())  # noqa: NPY002 - what a careless component does


@broken("encoder", "meta")
class Placed(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.register_buffer("anchor", torch.zeros(1, device="cpu"))


@broken("encoder", "dtype")
class Double(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64))


@broken("encoder", "generator")
class Draws(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-3 * torch.rand(())


@broken("encoder", "deterministic")
class Counts(SmallEncoder):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) + self.calls


@broken("encoder", "state")
class Hides(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.hidden = np.random.rand()  # noqa: NPY002 - what a careless component does

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.hidden


@broken("encoder", "scheduled")
class Unscheduled(SmallEncoder):
    class Spec(SmallEncoder.Spec):
        gain: Schedulable = Field(1.0, description="factor")


@broken("encoder", "scheduled")
class Deaf(Unscheduled):
    """The buffer is there, and nothing reads it."""

    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.register_buffer("gain", torch.tensor(spec.gain))


@broken("encoder", "gradients")
class Idle(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.idle = nn.Parameter(torch.zeros(2))


@broken("encoder", "independent")
class Centred(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found - found.mean(dim=0)


@broken("encoder", "export")
class FrozenEncoder(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return grows(super().forward(x), int(x.shape[0]))
