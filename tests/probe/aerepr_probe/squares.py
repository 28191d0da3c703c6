"""Bright squares on black, drawn from a full grid of left edge, top edge and side.

Shape letters: N rows, H height, W width, C channels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aerepr.data.factors import FactorTable

SIZE = 16
EDGES = (1, 2, 4, 5, 7, 8, 10, 11)
SIDES = (2, 3, 4)


def squares() -> tuple[npt.NDArray[np.uint8], FactorTable]:
    """All 192 images (N, H, W, C), and their factors `x`, `y` and `size`."""
    table = FactorTable.from_grid(
        ("x", "y", "size"), (len(EDGES), len(EDGES), len(SIDES)), (np.array(EDGES), np.array(EDGES), np.array(SIDES))
    )
    left_N, top_N = (np.array(EDGES)[table.classes[:, axis]] for axis in (0, 1))
    side_N = np.array(SIDES)[table.classes[:, 2]]
    pixel = np.arange(SIZE)
    columns_NW = (pixel >= left_N[:, None]) & (pixel < (left_N + side_N)[:, None])
    lines_NH = (pixel >= top_N[:, None]) & (pixel < (top_N + side_N)[:, None])
    images_NHW = lines_NH[:, :, None] & columns_NW[:, None, :]
    return images_NHW[..., None].astype(np.uint8) * np.uint8(255), table
