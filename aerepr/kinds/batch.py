"""One batch of data, on the device, as the model sees it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B examples.

    Attributes:
        x: images as float in [0, 1], (B, C, H, W), or vectors (B, F), standardised where the spec says so; with a time
            axis (B, T, ...) when `timed`.
        rows: global row numbers in the data set, int64 (B,). They key the noise of a step.
        factors: class indices (B, factors), -1 where unknown; None without a factor table.
        label: what a view adds, such as the transformation a sequence shows, (B,). One that the view drew once for the
            batch is that number expanded, by whose stride a model knows without asking the device.
    """

    x: Tensor
    rows: Tensor
    factors: Tensor | None = None
    label: Tensor | None = None
    timed: bool = False

    @property
    def first(self) -> Tensor:
        """x without its time axis: the first frame, or x itself. This is what is encoded."""
        return self.x[:, 0] if self.timed else self.x

    def __len__(self) -> int:
        return self.x.shape[0]
