"""Tables in text as a data set of vectors."""

import numpy as np
import pytest
import torch

from aerepr.errors import DataError
from tests.builtin.datasets.building import build, source

VALUES = np.random.Generator(np.random.PCG64(0)).normal(size=(20, 2)).astype(np.float32)
GROUPS = np.arange(20) % 2


@pytest.fixture
def folder(tmp_path):
    lines = [f"{x:.9g},{group},{y:.9g}" for (x, y), group in zip(VALUES, GROUPS, strict=True)]
    (tmp_path / "t.csv").write_text("x,group,y\n" + "\n".join(lines) + "\n")
    (tmp_path / "bare.tsv").write_text("\n".join(line.replace(",", "\t") for line in lines))
    return tmp_path


def test_every_column_is_a_value(folder):
    dataset = build("csv", folder, path="t.csv")
    assert (len(dataset), str(dataset.shape), dataset.factors) == (20, "vector 3", None)
    np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy()[:, [0, 2]], VALUES)
    assert dataset.resident(torch.device("meta")).device.type == "meta"


@pytest.mark.parametrize(("path", "column"), [("t.csv", "group"), ("bare.tsv", "column_1")])
def test_columns_named_as_factors_are_no_values(folder, path, column):
    dataset = build("csv", folder, path=path, factors=[column])
    assert str(dataset.shape) == "vector 2"
    np.testing.assert_array_equal(dataset.resident(torch.device("cpu")).numpy(), VALUES)
    assert (dataset.factors.names, dataset.factors.sizes) == ((column,), (2,))
    np.testing.assert_array_equal(dataset.factors.classes[:, 0], GROUPS)


def test_factors_keep_the_order_they_are_named_in(folder):
    dataset = build("csv", folder, path="t.csv", factors=["y", "group"])
    assert dataset.factors.names == ("y", "group")
    assert dataset.factors.sizes == (20, 2)
    assert str(dataset.shape) == "vector 1"


def test_a_factor_that_is_no_column(folder):
    with pytest.raises(DataError, match=r't\.csv: found no key "grop" \(did you mean "group"\?\), expected one of'):
        build("csv", folder, path="t.csv", factors=["grop"])


def test_a_table_of_factors_alone_is_no_data(folder):
    with pytest.raises(DataError, match=r"t\.csv: found only columns named as factors, expected values too"):
        build("csv", folder, path="t.csv", factors=["x", "y", "group"])


def test_subset_and_batches(folder):
    data = source("csv", folder, path="t.csv", factors=["group"], subset={"group": [1]})
    rows = data.rows("train")
    assert set(GROUPS[rows]) == {1}
    np.testing.assert_array_equal(next(data.batches(rows)).x.numpy(), VALUES[rows])
