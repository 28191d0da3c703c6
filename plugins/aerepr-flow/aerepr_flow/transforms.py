"""Transformations of images that are given by numbers: scale, rotation and hue, batched and on the device of the images.

Scale and rotation sample the image at  c + R(angle)^-1 (p - c) / scale  for every pixel centre p, with c the centre of the
image, bilinearly, and 0 outside. Angles turn counter-clockwise as one looks at the image. A hue shift adds to H of HSV.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167 (scale 1 + 0.1 t, rotation 10 t and hue
20 t degrees at step t).
Shape letters: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def scale_and_rotate(x_BCHW: Tensor, scale_B: Tensor, degrees_B: Tensor) -> Tensor:
    """Images enlarged and turned about their centre.

    Args:
        scale_B: above 0; 2 shows everything twice as large. degrees_B: counter-clockwise.
    """
    height, width = x_BCHW.shape[2:]
    angle_B = torch.deg2rad(degrees_B)
    cos_B, sin_B = angle_B.cos() / scale_B, angle_B.sin() / scale_B
    zero_B = torch.zeros_like(cos_B)
    # In units of half the image, which are not the same along both axes; y points down.
    across = torch.stack([cos_B, -sin_B * (height / width), zero_B], dim=-1)
    down = torch.stack([sin_B * (width / height), cos_B, zero_B], dim=-1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(x_BCHW.shape), align_corners=False)
    return F.grid_sample(x_BCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def shift_hue(x_B3HW: Tensor, degrees_B: Tensor) -> Tensor:
    """Colours turned about the axis of greys, as H of HSV is: red becomes green at 120 degrees.

    Args:
        x_B3HW: red, green and blue in [0, 1].
    """
    value_BHW, strongest_BHW = x_B3HW.max(dim=1)
    chroma_BHW = value_BHW - x_B3HW.amin(dim=1)
    # Where two channels tie, either formula gives the same hue; greys have none, and any does.
    following = x_B3HW.gather(1, ((strongest_BHW + 1) % 3)[:, None])[:, 0]
    last = x_B3HW.gather(1, ((strongest_BHW + 2) % 3)[:, None])[:, 0]
    sixth_BHW = 2 * strongest_BHW + (following - last) / torch.where(chroma_BHW > 0, chroma_BHW, 1)
    hue_BHW = sixth_BHW + degrees_B[:, None, None] / 60
    channels = []
    for offset in (5, 3, 1):  # red, green, blue
        place_BHW = torch.remainder(hue_BHW + offset, 6)
        channels.append(value_BHW - chroma_BHW * torch.minimum(place_BHW, 4 - place_BHW).clamp(0, 1))
    return torch.stack(channels, dim=1)
