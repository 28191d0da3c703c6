"""The shape of one example: an image or a vector."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal


@dataclass(frozen=True)
class DataShape:
    """An image (C, H, W), stored uint8 and seen as float in [0, 1]; or a vector (F,), float32."""

    kind: Literal["image", "vector"]
    sizes: tuple[int, ...]

    @classmethod
    def image(cls, channels: int, height: int, width: int) -> DataShape:
        return cls("image", (channels, height, width))

    @classmethod
    def vector(cls, features: int) -> DataShape:
        return cls("vector", (features,))

    @property
    def is_image(self) -> bool:
        return self.kind == "image"

    @property
    def channels(self) -> int:
        """C of an image, F of a vector."""
        return self.sizes[0]

    @property
    def values(self) -> int:
        """Numbers in one example."""
        return prod(self.sizes)

    def __str__(self) -> str:
        return f"{self.kind} {'x'.join(map(str, self.sizes))}"
