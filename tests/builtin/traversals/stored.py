"""A run of which only what traversals read is there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from aerepr.kinds.layout import LatentLayout


@dataclass
class Stored:
    codes: Tensor
    layout: LatentLayout
