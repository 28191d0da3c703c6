"""Where published files are looked for, and how the released code split them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aerepr.data.published import PublishedSpec, drawn_or_released, published_file, published_folder, released_splits
from aerepr.errors import DataError
from aerepr.kinds.dataset import DataContext


def test_the_folder_is_the_one_named_or_that_of_published_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = DataContext(tmp_path / "specs", tmp_path / "cache")
    monkeypatch.setenv("AEREPR_DATA", str(tmp_path / "data"))
    assert published_folder(PublishedSpec(name="shapes3d"), ctx) == tmp_path / "data" / "shapes3d"
    assert published_folder(PublishedSpec(name="shapes3d", root="here"), ctx) == tmp_path / "specs" / "here"
    elsewhere = str(tmp_path / "elsewhere")
    assert published_folder(PublishedSpec(name="shapes3d", root=elsewhere), ctx) == tmp_path / "elsewhere"


def test_a_missing_file_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    spec = PublishedSpec(name="shapes3d", root=".")
    (tmp_path / "3dshapes.hdf5").write_bytes(b"x")
    with pytest.raises(DataError, match=r'3dshapes\.h5: .*"3dshapes\.hdf5"\?.*aerepr data fetch shapes3d.*set root'):
        published_file(spec, DataContext(tmp_path, tmp_path), "3dshapes.h5")
    (tmp_path / "3dshapes.h5").write_bytes(b"x")
    assert published_file(spec, DataContext(tmp_path, tmp_path), "3dshapes.h5") == tmp_path / "3dshapes.h5"


@pytest.mark.parametrize(
    ("n", "sizes"),
    [
        (480_000, (345_600, 38_400, 96_000)),
        (1_036_800, (746_496, 82_944, 207_360)),
        (25, (18, 2, 5)),
        (54, (40, 4, 10)),
    ],
)
def test_the_sizes_of_the_released_split(n: int, sizes: tuple[int, int, int]) -> None:
    found = released_splits(n, 0)
    assert tuple(len(found[split]) for split in ("train", "valid", "test")) == sizes
    together = np.concatenate(list(found.values()))
    np.testing.assert_array_equal(np.sort(together), np.arange(n))
    assert all((np.diff(rows) > 0).all() for rows in found.values())


def test_the_test_rows_are_the_last_fifth_of_the_released_permutation() -> None:
    # The last two of ten under NumPy's RandomState(0), whose permutation begins 2 8 4 9 1 6 7 3 and ends 0 5.
    assert released_splits(10, 0)["test"].tolist() == [0, 5]
    first, second = released_splits(1000, 0), released_splits(1000, 1)
    np.testing.assert_array_equal(first["test"], second["test"])
    assert not np.array_equal(first["valid"], second["valid"])


def test_drawn_is_left_to_the_split_of_the_spec() -> None:
    assert drawn_or_released(PublishedSpec(name="x"), 10) is None
    splits = drawn_or_released(PublishedSpec(name="x", rule="released", split_seed=3), 10)
    assert splits is not None
    assert {split: rows.tolist() for split, rows in splits.items()} == {
        split: rows.tolist() for split, rows in released_splits(10, 3).items()
    }
