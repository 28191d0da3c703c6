"""`celeba`: 202,599 photographs of faces, aligned, from the published JPEG files and list_eval_partition.txt.

The centre 128 x 128 of the published 218 x 178 (rows 45 to 172, columns 25 to 152), not resized, as in the code of Leeb et al.
2023, "Structure by Architecture". With list_attr_celeba.txt the 40 attributes are factors of two classes each.
Source: Liu, Luo, Wang, Tang 2015, "Deep learning face attributes in the wild".

All pictures are decoded once, into the cache; its name carries the names, sizes and times of change of all of them.
Shape letters: N rows, F factors.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from aerepr.atomic import write_text
from aerepr.data.decoded import open_images
from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.data.images import try_images, unusable
from aerepr.data.mapped import MappedRows
from aerepr.data.published import FilesSpec, published_file, published_folder, tested_splits
from aerepr.data.stored import StoredArray
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext

FOLDER, PARTITION, ATTRIBUTES = "img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt"
# Pictures in the train, valid and test partitions, as published.
COUNTS = (162_770, 19_867, 19_962)
_PUBLISHED = (218, 178, 3)
_ROWS, _COLUMNS, _SIDE = slice(45, 173), slice(25, 153), 128
_BLOCK = 256


class CelebASpec(FilesSpec):
    """Table `[data]` with `name = "celeba"`. `rule` gives the splits, and `split` counts for nothing."""

    rule: Literal["official", "released"] = Field(
        "official",
        description="official: the published partitions train, valid and test; released: as in the code of Structure by "
        "Architecture, a tenth of the train partition, drawn by `split_seed`, for validation, and the test partition",
    )
    skip_damaged: bool = Field(False, description="leave out pictures that cannot be used, instead of refusing them")
    subset_file: bool = Field(False, description="accept fewer pictures than were published")


class CelebADataset(HeldDataset):
    """The pictures in the order of the partition file."""

    Spec = CelebASpec

    def __init__(self, spec: CelebASpec, ctx: DataContext) -> None:
        partition = _partition(spec, published_file(spec, ctx, PARTITION))
        folder = published_folder(spec, ctx) / FOLDER
        states = _found(spec, folder, partition)
        names = [name for name in partition if name in states]
        pixels, notes, damaged = _pixels(spec, ctx, folder, {name: states[name] for name in names})
        kept = [name for name in names if name not in damaged]
        part_N = np.array([partition[name] for name in kept])
        train, valid, test = (np.flatnonzero(part_N == number).astype(np.int64) for number in range(3))
        splits: Mapping[str, np.ndarray] = {"train": train, "valid": valid, "test": test}
        if spec.rule == "released":
            splits = tested_splits(train, test, (0.9, 0.1, 0.0), spec.split_seed)
        attributes = published_folder(spec, ctx) / ATTRIBUTES
        factors = _factors(attributes, kept) if attributes.exists() else None
        super().__init__(pixels, factors, notes, splits, spec.memory)


def _partition(spec: CelebASpec, file: Path) -> dict[str, int]:
    """Number of the partition of each picture, in the order of the file."""
    partition: dict[str, int] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = line.split()
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise DataError(
                f'{file}: found "{line[:40]}" in line {number}, expected a file name and 0, 1 or 2; copy or download it again'
            )
        partition[words[0]] = int(words[1])
    counts = tuple(np.bincount(list(partition.values()), minlength=3).tolist())
    if counts != COUNTS and not spec.subset_file:
        raise DataError(
            f"{file}: found {_text(counts)} pictures for train, valid and test, expected {_text(COUNTS)}; copy or download it "
            "again, or, if it is to be a part of what was published, set subset_file = true"
        )
    return partition


def _found(spec: CelebASpec, folder: Path, partition: Mapping[str, int]) -> dict[str, str]:
    """The pictures that are there, each with its size and time of change."""
    try:
        with os.scandir(folder) as entries:
            there = {entry.name: entry.stat() for entry in entries if entry.name in partition}
    except OSError as cause:
        raise DataError(
            f"{folder}: found no folder that can be read ({cause.strerror}), expected the pictures; `aerepr data where "
            f"{spec.name}` says where they belong"
        ) from cause
    missing = [name for name in partition if name not in there]
    if not there or (missing and not spec.subset_file):
        raise DataError(
            f"{folder}: found {len(there):,} of the {len(partition):,} pictures of {PARTITION}, {missing[0]} is not there; "
            "unpack the archive again, or, if it is to be a part of what was published, set subset_file = true"
        )
    return {name: f"{status.st_size} {status.st_mtime_ns}" for name, status in there.items()}


def _pixels(
    spec: CelebASpec, ctx: DataContext, folder: Path, states: Mapping[str, str]
) -> tuple[np.ndarray | MappedRows, list[str], Mapping[str, str]]:
    """The pictures, notes, and those left out with what is wrong with each.

    What is damaged is only known once all were decoded; it is then written down beside the decoded file, under the same
    state of the folder, so that it is found out once.
    """
    state = hashlib.sha256("\n".join(f"{name} {found}" for name, found in states.items()).encode()).hexdigest()
    record = ctx.cache / "decoded" / f"celeba-{state[:32]}.damaged.json"
    damaged = _recorded(record)
    if damaged is None:
        try:
            return (*_open(spec, ctx, folder, list(states), state, record), {})
        except _Damaged:
            damaged = _recorded(record) or {}
    if damaged and not spec.skip_damaged:
        advice = (
            "expected JPEG files of 218 x 178; unpack the archive again, or leave them out with skip_damaged = true"
        )
        raise unusable([(folder / name, reason) for name, reason in damaged.items()], len(states), advice)
    kept = [name for name in states if name not in damaged]
    if not kept:
        raise DataError(f"{folder}: found no picture that can be used; unpack the archive again")
    pixels, notes = _open(spec, ctx, folder, kept, state, record)
    if damaged:
        notes.append(f"{folder}: {len(damaged)} pictures are damaged and left out: {', '.join(list(damaged)[:5])}")
    return pixels, notes, damaged


class _Damaged(Exception):
    """Some pictures cannot be used; the record says which."""


def _recorded(record: Path) -> dict[str, str] | None:
    """What is known to be damaged; None if nobody has looked."""
    try:
        found: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _open(
    spec: CelebASpec, ctx: DataContext, folder: Path, names: list[str], state: str, record: Path
) -> tuple[np.ndarray | MappedRows, list[str]]:
    def blocks() -> Iterator[np.ndarray]:
        damaged: dict[str, str] = {}
        for start in range(0, len(names), _BLOCK):
            chunk = names[start : start + _BLOCK]
            block = np.zeros((len(chunk), _SIDE, _SIDE, 3), np.uint8)
            for number, picture in enumerate(try_images([folder / name for name in chunk])):
                if isinstance(picture, str):
                    damaged[chunk[number]] = picture
                elif picture.shape != _PUBLISHED:
                    damaged[chunk[number]] = f"{picture.shape[0]} x {picture.shape[1]} pixels"
                else:
                    block[number] = picture[_ROWS, _COLUMNS]
            yield block
        if damaged:
            write_text(record, json.dumps(damaged, indent=1))
            raise _Damaged

    images = StoredArray(
        path=folder,
        key="aligned",
        shape=(len(names), _SIDE, _SIDE, 3),
        dtype=np.dtype(np.uint8),
        offset=None,
        blocks=blocks,
        state=f"{state} {len(names)}",
    )
    return open_images(images, ctx.cache, layout="NHWC", binary=False, memory="mapped", progress=ctx.progress)


def _factors(file: Path, names: list[str]) -> FactorTable:
    """The attributes of some pictures: class 0 for -1, class 1 for 1."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    header = lines[1].split() if len(lines) > 1 else []
    rows = {words[0]: words[1:] for words in (line.split() for line in lines[2:]) if words}
    wrong = next(
        (name for name in names if set(rows.get(name, ())) - {"-1", "1"} or len(rows.get(name, ())) != len(header)),
        None,
    )
    if not header or wrong is not None:
        raise DataError(
            f"{file}: found no {len(header) or 40} values of -1 or 1 for {wrong or 'any picture'}, expected a count, a line of "
            "names, and a line for each picture; copy or download it again, or remove it to do without attributes"
        )
    classes_NF = (np.array([rows[name] for name in names]) == "1").astype(np.int16)
    values = tuple(np.array([-1, 1]) for _ in header)
    return FactorTable(tuple(header), (2,) * len(header), classes_NF, values)


def _text(counts: tuple[int, ...]) -> str:
    return ", ".join(f"{count:,}" for count in counts)
