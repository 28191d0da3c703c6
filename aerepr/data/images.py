"""Folders of pictures: found in a fixed order, turned upright, cropped, resized, stacked.

Two layouts: one folder a class, whose sorted names number the classes, or all pictures in one folder without classes.
Sorting is natural (`img2` before `img10`) and does not depend on the file system.

Shape letters: N pictures, H height, W width, C channels.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from aerepr.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})

# Pillow's decoders raise far more than OSError on damaged files.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_SHOWN = 5


def list_images(folder: Path | str) -> tuple[list[tuple[Path, int | None]], tuple[str, ...]]:
    """Find the pictures of a folder.

    Args:
        folder: holds either pictures, or one folder of pictures a class. Hidden files, files of other types and
            macOS's `__MACOSX` are passed over.

    Returns:
        Each picture with its class index, None without class folders; and the names of the classes in index order.

    Raises:
        DataError: no such folder, no pictures, a class folder without pictures, or pictures both beside and inside
            folders.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: found {found}, expected a folder of pictures; check the path")
    classes = _sorted([entry for entry in folder.iterdir() if entry.is_dir() and _is_visible(entry)])
    flat = _pictures(folder)
    inside = [_pictures(entry) for entry in classes]
    if flat and any(inside):
        raise DataError(
            f"{folder}: found pictures beside class folders ({flat[0].name} and {classes[0].name}/), "
            "expected one or the other; move the pictures into a class folder"
        )
    if flat:
        return [(path, None) for path in flat], ()
    if not any(inside):
        raise DataError(
            f"{folder}: found no pictures, expected <class>/*.png or *.png "
            f"(also {', '.join(sorted(SUFFIXES - {'.png'}))}); check the path"
        )
    for entry, paths in zip(classes, inside, strict=True):
        if not paths:
            raise DataError(
                f"{entry}: found no pictures in this class folder, expected at least one (folders inside it are not "
                "searched); fill or remove it"
            )
    files = [(path, index) for index, paths in enumerate(inside) for path in paths]
    return list(files), tuple(entry.name for entry in classes)


def read_images(
    files: Sequence[Path],
    size: tuple[int, int] | None,
    mode: Literal["RGB", "L"] = "RGB",
    crop: Literal["center", "none"] = "center",
) -> npt.NDArray[np.uint8]:
    """Read pictures into one array.

    A picture is turned upright as its EXIF orientation says. Transparent pixels are shown on white.

    Args:
        files: the pictures, at least one.
        size: (H, W) to resize to, with Pillow's Lanczos filter; None keeps the size, which all must then share.
        mode: colour (C = 3) or grey (C = 1).
        crop: before resizing, `center` cuts to the aspect ratio of `size`; `none` stretches.

    Returns:
        (N, H, W, C) uint8, in the order of `files`.

    Raises:
        DataError: nothing to read, pictures that cannot be decoded (all are named or counted), pictures too large to be
            safe (Pillow's limit against decompression bombs) or with more than 8 bits, or differing sizes without
            `size`.
    """
    if not files:
        raise DataError("images: found no pictures to read, expected at least one; check the folder or the subset")
    if size is not None and min(size) < 1:
        raise DataError(f"images: found size {size}, expected height and width of at least 1; correct the size")
    images: npt.NDArray[np.uint8] | None = None
    bad: list[tuple[Path, str]] = []
    first = files[0]
    with _decoders() as pool:
        loaded = pool.map(lambda path: _load(path, size, mode, crop), files)
        try:
            for number, (path, result) in enumerate(zip(files, loaded, strict=True)):
                if isinstance(result, str):
                    bad.append((path, result))
                    continue
                if images is None:
                    first = path
                    images = np.empty((len(files), *result.shape), dtype=np.uint8)
                if result.shape != images.shape[1:]:
                    raise DataError(
                        f"{path}: found {_size_text(result)} where {first} has {_size_text(images[0])}, "
                        "expected one size (height x width) for all; set a size to resize to"
                    )
                images[number] = result
        finally:
            # After an error or an interrupt nobody wants to wait for the pictures still queued.
            pool.shutdown(wait=False, cancel_futures=True)
    if bad or images is None:
        raise unusable(bad, len(files), "expected 8-bit pictures that decode; repair or remove them")
    return images


def resized(images_NHWC: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Images of an array as squares of another size, with Pillow's bilinear filter, as torchvision's `Resize` has it.

    Args:
        images_NHWC: uint8 with C of 1, 3 or 4. side: in pixels.
    """
    if images_NHWC.shape[1:3] == (side, side):
        return images_NHWC
    out = np.empty((len(images_NHWC), side, side, images_NHWC.shape[3]), np.uint8)
    for image, pixels in zip(images_NHWC, out, strict=True):
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        pixels[...] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)).reshape(pixels.shape)
    return out


def try_images(files: Sequence[Path]) -> list[npt.NDArray[np.uint8] | str]:
    """A few pictures in colour, each as (H, W, 3) at its own size, or why it cannot be used."""
    with _decoders() as pool:
        return list(pool.map(lambda path: _load(path, None, "RGB", "none"), files))


def unusable(bad: Sequence[tuple[Path, str]], count: int, advice: str) -> DataError:
    """The error for pictures that cannot be used: how many of `count`, the first of them by name, and what to do."""
    shown = "; ".join(f"{path}: {reason}" for path, reason in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return DataError(f"found {len(bad)} of {count} pictures that cannot be used ({shown}{more}), {advice}")


@contextmanager
def _decoders() -> Iterator[ThreadPoolExecutor]:
    # Pillow only warns of a picture up to twice its limit. Warning filters are global: set here, not in each thread.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield pool


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name != "__MACOSX"


def _sorted(paths: list[Path]) -> list[Path]:
    # Digits compare as numbers; the name itself decides between 1 and 01.
    def key(path: Path) -> tuple[list[tuple[int, int | str]], str]:
        parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
        return [(0, int(part)) if part[0] in "0123456789" else (1, part) for part in parts], path.name

    return sorted(paths, key=key)


def _pictures(folder: Path) -> list[Path]:
    found = (entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    return _sorted([entry for entry in found if _is_visible(entry) and entry.is_file()])


def _load(path: Path, size: tuple[int, int] | None, mode: str, crop: str) -> npt.NDArray[np.uint8] | str:
    """One picture as (H, W, C), or why it cannot be used: an exception would hide what is wrong with the others."""
    try:
        with Image.open(path) as opened:
            if opened.mode[0] in "IF":
                return f"more than 8 bits a channel (mode {opened.mode})"
            image = _flattened(ImageOps.exif_transpose(opened), mode)
        if size is not None:
            box = _center_box(image.size, size) if crop == "center" else None
            image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box)
    except _DECODER_ERRORS as error:
        return str(error).replace(f" {str(path)!r}", "") or type(error).__name__
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _flattened(image: Image.Image, mode: str) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _center_box(found: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box with the aspect ratio of `size`, as (left, upper, right, lower), to fractions of a pixel.

    Args:
        found: (width, height) of the picture, as Pillow gives it.
        size: (height, width) wanted.
    """
    width, height = found
    scale = min(width / size[1], height / size[0])
    left, upper = (width - size[1] * scale) / 2, (height - size[0] * scale) / 2
    return left, upper, width - left, height - upper


def _size_text(image: npt.NDArray[np.uint8]) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
