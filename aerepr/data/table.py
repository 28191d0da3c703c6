"""Tables of numbers in text: one row a line, cells between commas or tabs, with or without a line of names."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aerepr.data.lookup import existing_file
from aerepr.errors import DataError

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def read_csv(path: Path | str) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Read a table of numbers.

    A first line with no number in it names the columns. Tabs separate if that first line has one, else commas.
    Blank lines are passed over.

    Args:
        path: the file, UTF-8.

    Returns:
        Values (N, F) float32, and F column names: from the file, else `column_0`, `column_1`, ...

    Raises:
        DataError: missing or empty file, not UTF-8, a cell that is no finite number, a line with another number of
            cells, or a first line that is neither names nor numbers. The line number is in the message.
    """
    path = existing_file(path)
    rows: list[npt.NDArray[np.float32]] = []
    names: tuple[str, ...] | None = None
    try:
        for line, cells in _lines(path):
            if names is None:
                names = _column_names(cells, f"{path}, line {line}")
                if names is not None:
                    continue
                names = tuple(f"column_{i}" for i in range(len(cells)))
            if len(cells) != len(names):
                raise DataError(
                    f"{path}, line {line}: found {len(cells)} cells, expected {len(names)}; correct that line"
                )
            rows.append(_numbers(cells, names, f"{path}, line {line}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: found bytes that are no text table ({error}), expected UTF-8; save it as CSV"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: found a file that cannot be read ({error}); check its permissions") from error
    if names is None or not rows:
        found = "only blank lines" if names is None else "a line of names and no rows"
        raise DataError(f"{path}: found {found}, expected at least one row of numbers; check the file")
    return np.stack(rows), names


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    # utf-8-sig drops the byte-order mark that spreadsheets write, which would make the first cell no number.
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = next((line for line in file if line.strip()), "")
        file.seek(0)
        reader = csv.reader(file, delimiter="\t" if "\t" in first else ",", skipinitialspace=True, strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]


def _number(cell: str) -> float | None:
    # float() also takes the underscores of Python source, which no table writer means.
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _column_names(cells: list[str], where: str) -> tuple[str, ...] | None:
    numeric = [_number(cell) is not None for cell in cells]
    if all(numeric):
        return None
    if any(numeric):
        wrong = cells[numeric.index(False)]
        raise DataError(
            f"{where}: found numbers beside {wrong!r}, expected all names or all numbers; correct that line"
        )
    if "" in cells:
        raise DataError(
            f"{where}: found no name for column {cells.index('') + 1}, expected one; name it, or remove an index"
        )
    repeated = next((cell for cell in cells if cells.count(cell) > 1), None)
    if repeated is not None:
        raise DataError(f"{where}: found the column name {repeated!r} twice, expected each name once; rename one")
    return tuple(cells)


def _numbers(cells: list[str], names: tuple[str, ...], where: str) -> npt.NDArray[np.float32]:
    values = [_number(cell) for cell in cells]
    for cell, value, name in zip(cells, values, names, strict=True):
        if value is None or not isfinite(value) or abs(value) > _FLOAT32_MAX:
            raise DataError(f"{where}: found {cell!r} in column {name!r}, expected a finite number; correct that cell")
    return np.array(values, dtype=np.float32)
