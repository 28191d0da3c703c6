"""Pictures of decoded data: grids and labelled rows of images, scatter plots of two-feature vectors, as PNG and moving as GIF.

Small images are enlarged by whole pixels, so that what is seen is what the model gave.

Shape letters: N images, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from aerepr import atomic
from aerepr.errors import DataError, ShapeError, UsageError
from aerepr.kinds.shape import DataShape

Pixels = NDArray[np.uint8]
Rows = Sequence[tuple[str, NDArray[Any]]]

# Images are enlarged as long as their longer side stays within this many pixels.
CELL = 96

# Many images are enlarged less, so that a picture still fits a screen or two.
SIDE = 4096

# Beyond this many pixels a picture is refused: viewers fail on it, and nobody can look at it.
LARGEST = 64_000_000

# Neither black nor white, so that the edge of an image shows on any of them.
PADDING = (200, 200, 200)
PAPER = (255, 255, 255)
INK = (40, 40, 40)

# Colours that stay apart for colour-blind readers. Source: Okabe and Ito 2008, "Color universal design".
PALETTE = (
    (150, 150, 150),
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)

# Side of a scatter plot.
_SCATTER = 720


def can_picture(shape: DataShape) -> bool:
    """Whether there is a picture of such data."""
    return shape.channels in (1, 3, 4) if shape.is_image else shape.channels == 2


def require_picture(shape: DataShape) -> None:
    """Refuse data that has no picture.

    Raises:
        UsageError: it has none; says what to write instead.
    """
    if not can_picture(shape):
        raise UsageError(
            f"there is no picture of data that is a {shape}, only of images and of vectors of 2 features: "
            "write the numbers with --out FILE.npz"
        )


def grid(images: NDArray[Any], columns: int | None = None, pad: int = 2, scale: int | None = None) -> Pixels:
    """Images side by side, left to right, then down.

    Args:
        images: (N, C, H, W) with C of 1, 3 or 4 (alpha, shown on white); uint8, or floats that are clipped to [0, 1].
        columns: images a row; left out: as many as make the grid square.
        pad: pixels between images.
        scale: how many times each pixel is repeated; left out: as suits cells of up to 96 pixels.

    Returns:
        (height, width, 3).

    Raises:
        ShapeError: not images. DataError: values that are not finite. UsageError: too many for one picture.
    """
    cells = _rgb(images)
    columns = columns or max(1, ceil(sqrt(len(cells))))
    lines = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return _paint(lines, [pad] * len(lines), pad, scale, 0)[0]


def labelled_rows(rows: Rows, pad: int = 2, scale: int | None = None, group: int = 0) -> Pixels:
    """A row of images for each label, which stands at its left.

    Args:
        rows: (label, images as `grid` takes them), all of one size; rows may differ in length.
        pad, scale: as for `grid`.
        group: after so many rows comes a wider gap; 0: never.

    Returns:
        (height, width, 3).

    Raises:
        as `grid`.
    """
    lines = [_rgb(images) for _, images in rows]
    font = ImageFont.load_default(16)
    room = ceil(max((font.getlength(label) for label, _ in rows), default=0)) + 12
    gaps = [6 * pad if group and i and i % group == 0 else pad for i in range(len(lines))]
    canvas, centres = _paint(lines, gaps, pad, scale, room)
    canvas[:, :room] = PAPER
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    for (label, _), centre in zip(rows, centres, strict=True):
        pen.text((room - 6, centre), label, fill=INK, font=font, anchor="rm")
    return np.asarray(image)


def scatter(points: Rows, paths: Rows = ()) -> Pixels:
    """Points in the plane, a colour for each group, on axes that fit them all.

    Args:
        points: (label, (n, 2)), drawn in order, the first in grey. Empty groups are left out.
        paths: the same, each joined by lines.

    Returns:
        (height, width, 3).

    Raises:
        ShapeError: points that are not pairs, or none at all. DataError: values that are not finite.
    """
    groups = [(label, np.asarray(group, dtype=np.float64)) for label, group in (*points, *paths)]
    for label, group in groups:
        if group.ndim != 2 or group.shape[1] != 2:
            raise ShapeError(f"{label}: a scatter plot takes points (n, 2), got {group.shape}")
        _require_finite(group)
    every = np.concatenate([group for _, group in groups])
    if not len(every):
        raise ShapeError("a scatter plot takes at least one point, got none")
    low, high = every.min(axis=0), every.max(axis=0)
    # The frame stands off from the outermost points; its corners are what the numbers at them say.
    margin = 0.03 * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    # Drawn twice as large and reduced, because Pillow's circles have jagged edges.
    side, font = 2 * _SCATTER, ImageFont.load_default(26)
    image = Image.new("RGB", (side, side), PAPER)
    pen = ImageDraw.Draw(image)
    ticks = [f"{value:.3g}" for value in (low[0], high[0], low[1], high[1])]
    left = 24 + ceil(max(font.getlength(tick) for tick in ticks[2:]))
    top, right, bottom = 72, side - 40, side - 60
    pen.rectangle((left, top, right, bottom), outline=PADDING, width=2)
    pen.text((left, bottom + 10), ticks[0], fill=INK, font=font)
    pen.text((right, bottom + 10), ticks[1], fill=INK, font=font, anchor="ra")
    pen.text((left - 10, bottom), ticks[2], fill=INK, font=font, anchor="rs")
    pen.text((left - 10, top), ticks[3], fill=INK, font=font, anchor="rt")
    legend = float(left)
    for number, (label, group) in enumerate(groups):
        if not len(group):
            continue
        colour = PALETTE[1 + (number - 1) % (len(PALETTE) - 1)] if number else PALETTE[0]
        unit = (group - low) / (high - low)
        x = left + unit[:, 0] * (right - left)
        y = bottom - unit[:, 1] * (bottom - top)
        spots = list(zip(x.tolist(), y.tolist(), strict=True))
        if number >= len(points) and len(spots) > 1:
            pen.line(spots, fill=colour, width=4)
        for across, down in spots:
            pen.ellipse((across - 6, down - 6, across + 6, down + 6), fill=colour)
        pen.text((legend, 24), label, fill=colour, font=font)
        legend += font.getlength(label) + 40
    return np.asarray(image.resize((_SCATTER, _SCATTER), Image.Resampling.BOX))


def moving_rows(rows: Rows) -> list[Pixels]:
    """The pictures of an animation: in each, one image of every row, under each other. A row that ends early stays.

    Args:
        rows: as for `labelled_rows`, each of one image at least.

    Raises:
        as `grid`.
    """
    length = max((len(images) for _, images in rows), default=0)
    return [
        labelled_rows([(label, images[min(number, len(images) - 1)][None]) for label, images in rows])
        for number in range(length)
    ]


def save_gif(path: Path, pictures: Sequence[Pixels], milliseconds: int = 250) -> None:
    """Write an animation that repeats, replacing an older one as a whole.

    Args:
        pictures: of one size, at least one. milliseconds: that each is shown.
    """
    first, *rest = (Image.fromarray(pixels) for pixels in pictures)
    with atomic.write_aside(path) as aside:
        first.save(aside, format="GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)


def save_png(path: Path, pixels: Pixels) -> None:
    """Write a picture, replacing an older one as a whole."""
    with atomic.write_aside(path) as aside:
        Image.fromarray(pixels).save(aside, format="PNG")


def _rgb(images: NDArray[Any]) -> Pixels:
    """Images as (N, H, W, 3) uint8."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise ShapeError(f"a picture takes images (N, C, H, W) with C of 1, 3 or 4, got shape {images.shape}")
    if images.dtype != np.uint8:
        _require_finite(images)
        images = np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
    cells = images.transpose(0, 2, 3, 1)
    if cells.shape[-1] == 4:
        alpha = cells[..., 3:].astype(np.float32) / 255.0
        cells = np.rint(cells[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return np.broadcast_to(cells, (*cells.shape[:3], 3))


def _require_finite(values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        raise DataError("a picture takes finite values, got NaN or infinity: has training diverged?")


def _paint(lines: list[Pixels], gaps: list[int], pad: int, scale: int | None, left: int) -> tuple[Pixels, list[float]]:
    """Lines of cells under each other, each below a gap of its own, from `left` on; and where each line's middle is."""
    if not lines or not any(len(line) for line in lines):
        raise ShapeError("a picture takes at least one image, got none")
    sizes = {line.shape[1:3] for line in lines if len(line)}
    if len(sizes) > 1:
        raise ShapeError(f"a picture takes images of one size, got {sorted(sizes)}")
    height, width = sizes.pop()
    columns = max(len(line) for line in lines)
    if scale is None:
        fits = SIDE // max(columns * width, len(lines) * height)
        scale = max(1, min(CELL // max(height, width), fits))
    height, width = height * scale, width * scale
    total = (sum(gaps) + len(lines) * height + pad, left + pad + columns * (width + pad))
    if total[0] * total[1] > LARGEST:
        raise UsageError(
            f"{sum(map(len, lines))} images make a picture of {total[1]} x {total[0]} pixels, which is too large to look "
            "at: take fewer, or write the numbers with --out FILE.npz"
        )
    canvas = np.full((*total, 3), PADDING, dtype=np.uint8)
    centres, top = [], 0
    for line, gap in zip(lines, gaps, strict=True):
        top += gap
        for number, cell in enumerate(line):
            start = left + pad + number * (width + pad)
            canvas[top : top + height, start : start + width] = cell.repeat(scale, axis=0).repeat(scale, axis=1)
        centres.append(top + height / 2)
        top += height
    return canvas, centres
