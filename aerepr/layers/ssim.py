"""Structural similarity of two images: how alike their means, contrasts and structure are in every small window.

    ((2 m_x m_y + C1) (2 s_xy + C2)) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2)),   C1 = 0.01^2, C2 = 0.03^2

with means, variances and covariance weighted by a Gaussian window of 11 x 11 pixels (deviation 1.5, sum 1), for values in
[0, 1]. The index is the mean over all places where the window lies inside the image, and over channels. Range [-1, 1], 1 for
equal images.

Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
Shape letters: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Width of the window, so also the least height and width of an image.
WINDOW = 11

_DEVIATION = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
    """The index of each pair of images, (B,), float64.

    Args:
        x_BCHW, y_BCHW: values in [0, 1]; height and width of `WINDOW` or more.
    """
    x, y = x_BCHW.double(), y_BCHW.double()
    down, across = _band(x.shape[2]).to(x), _band(x.shape[3]).T.to(x)

    def windowed(values: Tensor) -> Tensor:
        return down @ values @ across

    mean_x, mean_y = windowed(x), windowed(y)
    variance_x = windowed(x * x) - mean_x.square()
    variance_y = windowed(y * y) - mean_y.square()
    covariance = windowed(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    apart = (mean_x.square() + mean_y.square() + _C1) * (variance_x + variance_y + _C2)
    return (alike / apart).flatten(1).mean(dim=1)


def _band(size: int) -> Tensor:
    """The window at each of its places along one axis, a row a place: (size - 10, size)."""
    place = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-place.square() / (2 * _DEVIATION**2))
    rows = torch.arange(size - WINDOW + 1)[:, None]
    band = torch.zeros(len(rows), size, dtype=torch.float64)
    band[rows, rows + torch.arange(WINDOW)] = window / window.sum()
    return band
