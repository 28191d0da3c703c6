"""Tests of aerepr/data/table.py."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aerepr.data.table import read_csv
from aerepr.errors import DataError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-(2.0**100), 2.0**100, width=32)
    ),
    st.sampled_from(",\t"),
    st.booleans(),
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, values: np.ndarray, delimiter: str, named: bool) -> None:
    names = [f"x{i}" for i in range(values.shape[1])] if named else []
    lines = ([delimiter.join(names)] if named else []) + [delimiter.join(map(str, row)) for row in values.tolist()]
    found, columns = read_csv(write(tmp_path, "\n".join(lines)))
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.float32
    assert columns == (tuple(names) if named else tuple(f"column_{i}" for i in range(values.shape[1])))


@pytest.mark.parametrize(
    "text",
    ["\ufeffa,b\r\n1,2\r\n\r\n3,4\r\n", ' a , "b"\n1 , 2\n3,"4"\n', "\na\tb\n1\t2\n3\t4", "a,b\n1e0,+2\n3.,.4e1"],
    ids=["spreadsheet", "spaces-and-quotes", "tabs", "notations"],
)
def test_ways_of_writing_the_same_table(tmp_path: Path, text: str) -> None:
    values, names = read_csv(write(tmp_path, text))
    assert values.tolist() == [[1, 2], [3, 4]]
    assert names == ("a", "b")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("found an empty file",)),
        ("\n \n", ("found only blank lines, expected at least one row",)),
        ("a,b\n", ("found a line of names and no rows, expected at least one row",)),
        ("a,b\n1,2\n\n3,x\n", ("line 4: found 'x' in column 'b', expected a finite number",)),
        ("1,2\n3,nan\n", ("line 2: found 'nan' in column 'column_1', expected a finite number",)),
        ("1,2\n-inf,1\n", ("line 2: found '-inf' in column 'column_0', expected a finite number",)),
        ("1,2\n1e39,1\n", ("line 2: found '1e39' in column 'column_0', expected a finite number",)),
        ("1,2\n1_0,1\n", ("line 2: found '1_0'", "expected a finite number")),
        ("1,2\n3,\n", ("line 2: found '' in column 'column_1', expected a finite number",)),
        ("a,b\n1,2\n3\n", ("line 3: found 1 cells, expected 2",)),
        ("1,2\n3,4,5\n", ("line 2: found 3 cells, expected 2",)),
        ("1,x\n3,4\n", ("line 1: found numbers beside 'x', expected all names or all numbers",)),
        ("1;2\n3;4\n", ("line 2: found '3;4' in column '1;2', expected a finite number",)),
        (",a\n0,1\n", ("line 1: found no name for column 1, expected one",)),
        ("a,a\n0,1\n", ("line 1: found the column name 'a' twice, expected each name once",)),
        (b"a,b\n\xff\xfe,1\n", ("found bytes that are no text table", "expected UTF-8")),
        ('a,b\n"1,2\n3,4\n', ("found bytes that are no text table (unexpected end of data)", "expected")),
    ],
    ids=[
        "empty",
        "blank",
        "names-only",
        "word",
        "nan",
        "infinite",
        "beyond-float32",
        "underscore",
        "missing-cell",
        "short-line",
        "long-line",
        "mixed-first-line",
        "semicolons",
        "index-column",
        "repeated-name",
        "not-utf-8",
        "open-quote",
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, text: str | bytes, parts: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="(?s)" + ".*".join(map(re.escape, ("a.csv", *parts)))):
        read_csv(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: found no such file"):
        read_csv(tmp_path / "a.csv")
