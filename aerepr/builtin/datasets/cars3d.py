"""`cars3d`: 183 car models seen from 4 elevations and 24 azimuths, from the published .mat files, one a car.

17,568 images in the order of disentanglement_lib: elevation slowest, then azimuth, the car fastest. The published 128 x 128
are halved with Pillow's Lanczos filter, as there. Source: Reed, Zhang, Zhang, Lee 2015, "Deep visual analogy-making"
(the files); Locatello et al. 2019, "Challenging common assumptions" (order and size).
Shape letters: N rows, H height, W width.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.lookup import existing_file
from aerepr.data.published import PublishedSpec, drawn_or_released, published_folder
from aerepr.data.stored import StoredArray, file_state
from aerepr.errors import DataError, MissingExtra
from aerepr.kinds.dataset import DataContext

CARS = 183
_ELEVATIONS, _AZIMUTHS, _SIDE = 4, 24, 128
# As `data fetch` unpacks the archive, then as others keep its one folder of interest.
_FOLDERS = ("data/cars", "cars", ".")


class Cars3DSpec(PublishedSpec):
    """Table `[data]` with `name = "cars3d"`."""

    size: Literal[64, 128] = Field(
        64, description="side in pixels; 128 is native, 64 resized with Pillow's Lanczos filter"
    )
    subset_file: bool = Field(False, description="accept a folder with fewer cars than were published")


class Cars3DDataset(HeldDataset):
    """Images with the factors elevation, azimuth and object_type; which car has which number is the order of list.txt."""

    Spec = Cars3DSpec

    def __init__(self, spec: Cars3DSpec, ctx: DataContext) -> None:
        folder, files = _cars(spec, published_folder(spec, ctx))
        sizes = (_ELEVATIONS, _AZIMUTHS, len(files))
        images = StoredArray(
            path=folder,
            key=f"im {spec.size}",
            shape=(int(np.prod(sizes)), spec.size, spec.size, 3),
            dtype=np.dtype(np.uint8),
            offset=None,
            blocks=lambda: _views(files, spec.size),
            state=file_state(*files),
        )
        # Decoding takes most of a minute, so it is done once, however small the images are.
        pixels, notes = open_images(
            images, ctx.cache, layout="NHWC", binary=False, memory="mapped", progress=ctx.progress
        )
        names = np.array([file.stem for file in files])
        table = FactorTable.from_grid(("elevation", "azimuth", "object_type"), sizes, (None, None, names))
        super().__init__(pixels, table, notes, drawn_or_released(spec, len(table)), spec.memory)


def _cars(spec: Cars3DSpec, root: Path) -> tuple[Path, list[Path]]:
    """The folder and its cars, in the published order."""
    folders = [root / name for name in _FOLDERS if any((root / name).glob("*.mat"))]
    if not folders:
        raise DataError(
            f"{root}: found no .mat files in it, in cars or in data/cars, expected {CARS} of them; "
            f"`aerepr data fetch {spec.name}` fetches what is published, or set root"
        )
    folder = folders[0]
    order = folder / "list.txt"
    if order.is_file():
        names = [line.strip() for line in order.read_text(encoding="utf-8").splitlines() if line.strip()]
        files = [existing_file(folder / f"{name}.mat") for name in names]
    else:
        files = sorted(folder.glob("*.mat"))
    if len(files) != CARS and not (spec.subset_file and 0 < len(files) < CARS):
        raise DataError(
            f"{folder}: found {len(files)} cars, expected {CARS}; unpack the archive again, or, if it is to be a part of "
            "what was published, set subset_file = true"
        )
    return folder, files


def _views(files: list[Path], size: int) -> Iterator[np.ndarray]:
    """All images, a block for each elevation and azimuth; the cars are read first, since each file has all its views."""
    images = np.stack([_car(file, size) for file in files], axis=2)
    for elevation in images:
        yield from elevation


def _car(file: Path, size: int) -> np.ndarray:
    """The views of one car, (elevation, azimuth, H, W, 3)."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as cause:
        raise MissingExtra("scipy", "data", "the data set cars3d") from cause
    try:
        variables = loadmat(file, variable_names=["im"])
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError, EOFError, zlib.error) as cause:
        raise DataError(
            f"{file}: found a damaged file ({cause}), expected MATLAB's; unpack the archive again"
        ) from cause
    found = variables.get("im")
    shape = (_SIDE, _SIDE, 3, _AZIMUTHS, _ELEVATIONS)
    if found is None or found.shape != shape or found.dtype != np.uint8:
        what = "no variable im" if found is None else f"im of {found.dtype} and shape {found.shape}"
        raise DataError(f"{file}: found {what}, expected uint8 {shape}; check that it is a file of cars3d")
    views = found.transpose(4, 3, 0, 1, 2)
    if size == _SIDE:
        return views
    flat = np.ascontiguousarray(views).reshape(-1, _SIDE, _SIDE, 3)
    pictures = (Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS) for image in flat)
    return np.stack([np.asarray(picture) for picture in pictures]).reshape(*views.shape[:2], size, size, 3)
