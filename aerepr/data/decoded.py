"""Images of a file, ready for random reading: in memory when small, else mapped, decoded once where that is needed.

A file that is compressed or in chunks is useless for random rows: HDF5 unpacks a whole chunk for each. Its first use
decodes it in row order into an uncompressed npy in the cache, converted as it passes. The name carries file, key and
conversion, and size and time of change of the file: a changed file is decoded anew, and what was made of the old one
removed. A file that is plain uint8 already is mapped where it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from aerepr.atomic import remove_leftovers, write_aside
from aerepr.data.arrays import Layout, as_images
from aerepr.data.mapped import MappedRows
from aerepr.data.stored import StoredArray, file_state
from aerepr.errors import DataError
from aerepr.kinds.dataset import Progress, silent

try:
    import fcntl
except ImportError:  # not on Windows, where two processes may decode the same file twice
    fcntl = None  # type: ignore[assignment]

Memory = Literal["auto", "resident", "mapped"]

# Arrays below this many bytes are read into memory at each opening, unless they are to be mapped.
SMALL = 1 << 28

# In the name of every decoded file: raised when the conversion changes.
_VERSION = 1

Pixels = npt.NDArray[np.uint8]


def open_images(
    array: StoredArray,
    cache: Path,
    *,
    layout: Layout | None = None,
    binary: bool | None = None,
    memory: Memory = "auto",
    progress: Progress = silent,
) -> tuple[Pixels | MappedRows, list[str]]:
    """Images as uint8 (N, H, W, C), in memory if they are small or mapped if not.

    Args:
        array: images as `as_images` takes them, with its `layout` and `binary`. A large array of which `binary` is not
            said is judged by its first rows, and refused where later ones disagree.
        cache: the folder decoded files are kept in. memory: "mapped" maps small arrays too.

    Returns:
        The images, and notes on what was decided without being asked.

    Raises:
        DataError: as `as_images`, a damaged file, or too little space in the cache.
    """
    if array.nbytes < SMALL and memory != "mapped":
        return as_images(array.read(), array.where, layout, binary)
    # Where nothing depends on the values they are not looked at: the first rows may be as dear as all of them.
    is_told = array.dtype == np.uint8 and layout is not None and binary is not None
    first = np.zeros((1, *array.shape[1:]), np.uint8) if is_told else next(array.blocks())
    images, notes = as_images(first, array.where, layout, binary)
    # The note is there if, and only if, zeros and ones were taken for masks.
    masks = bool(binary) or (binary is None and bool(notes))
    shape = (array.shape[0], *images.shape[1:])
    if array.offset is not None and array.dtype == np.uint8 and layout != "NCHW" and not masks:
        plain: np.memmap[Any, Any] = np.memmap(array.path, np.uint8, "r", array.offset, shape)
        return MappedRows([plain]), notes

    def convert(block: npt.NDArray[Any], start: int) -> Pixels:
        where = f"{array.where} from row {start}"
        pixels, _ = as_images(block, where, layout, masks if block.dtype.kind in "iu" else None)
        return pixels

    target = decoded_file(array, cache, layout, masks)
    found = _mapped(target, shape)
    if found is None:
        with _alone(target, progress):
            # Another process may have decoded it in the meantime.
            found = _mapped(target, shape)
            if found is None:
                _decode(array, target, shape, convert, progress)
                found = _mapped(target, shape)
    if found is None:
        raise DataError(f"{target}: found no decoded images just after they were written; check the disk")
    return MappedRows([found]), notes


def decoded_file(array: StoredArray, cache: Path, layout: Layout | None, masks: bool) -> Path:
    """Where an array's decoded images are kept.

    Args:
        masks: whether zeros and ones become 0 and 255.
    """
    source = f"{array.path.resolve()} {array.key} {layout} {masks}"
    state = f"{_VERSION} {array.state or file_state(array.path)}"
    digests = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in (source, state)]
    return cache / "decoded" / f"{array.path.stem}-{'-'.join(digests)}.npy"


def _mapped(target: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any] | None:
    """The decoded file, unless it is absent or cannot be what was written: then it is made again."""
    try:
        found: np.memmap[Any, Any] = npy.open_memmap(target, mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.uint8 and found.flags.c_contiguous else None


def _decode(
    array: StoredArray,
    target: Path,
    shape: tuple[int, ...],
    convert: Callable[[npt.NDArray[Any], int], Pixels],
    progress: Progress,
) -> None:
    remove_leftovers(target)
    needed, free = int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(target.parent).free
    if free < needed:
        raise DataError(
            f"{target.parent}: found {free / 1e9:.1f} GB free, expected {needed / 1e9:.1f} GB for the decoded images of "
            f"{array.where}; free some space, or set AEREPR_CACHE to a folder on a larger disk"
        )
    what = f"decoding {array.path.name}[{array.key}]"
    progress(what, 0, shape[0])
    # Written, not mapped: on a full disk a write is an error, and a store into a map kills the process.
    with write_aside(target) as aside, open(aside, "wb") as file:
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start = 0
        for block in array.blocks():
            file.write(convert(block, start).data)
            start += len(block)
            progress(what, start, shape[0])
    for old in target.parent.glob(f"{target.stem.rpartition('-')[0]}-*.npy"):
        if old != target:
            with contextlib.suppress(OSError):
                old.unlink()


@contextlib.contextmanager
def _alone(target: Path, progress: Progress) -> Iterator[None]:
    """One process at a time decodes a file; the lock goes with the process that holds it, however that ends."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = open(target.with_suffix(".lock"), "w")  # noqa: SIM115 - closed below
    except OSError as cause:
        raise DataError(
            f"{target.parent}: found a folder that cannot be written to ({cause}), expected a place for decoded images; "
            "set AEREPR_CACHE"
        ) from cause
    with lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("waiting for another process that decodes the same file", 0, 1)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
