"""CelebA from JPEG files, the partition file and the attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aerepr.builtin.datasets import celeba
from aerepr.data.source import DataSource
from aerepr.errors import DataError
from tests.builtin.datasets.building import build, source
from tests.builtin.datasets.official_files import ATTRIBUTES, celeba_files

PARTITIONS = [0] * 20 + [1] * 4 + [2] * 6


def open_source(folder: Path, **fields: object) -> DataSource:
    return source("celeba", folder, root=".", subset_file=True, **fields)


def taken(dataset, rows) -> np.ndarray:
    return dataset.values.take(np.asarray(rows))


def splits(data: DataSource) -> list[list[int]]:
    return [data.rows(split).tolist() for split in ("train", "valid", "test")]


def test_the_published_crop(tmp_path: Path) -> None:
    celeba_files(tmp_path, [0, 0, 2])
    rng = np.random.Generator(np.random.PCG64(0))
    smooth = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).resize(
        (178, 218), Image.Resampling.BICUBIC
    )
    smooth.save(tmp_path / "img_align_celeba" / "000002.jpg", quality=95)
    dataset = build("celeba", tmp_path, root=".", subset_file=True)
    assert dataset.shape.sizes == (3, 128, 128)
    with Image.open(tmp_path / "img_align_celeba" / "000002.jpg") as picture:
        expected = np.asarray(picture)[45:173, 25:153]
    np.testing.assert_array_equal(taken(dataset, [1])[0], expected)


def test_partitions_and_attributes(tmp_path: Path) -> None:
    # Interleaved, so that the partition of a row is not its place.
    mixed = [0, 2, 1, 0, 0, 2, 0, 1, 0, 0, 0, 0]
    classes = celeba_files(tmp_path, mixed)
    data = open_source(tmp_path)
    assert splits(data) == [[row for row, part in enumerate(mixed) if part == number] for number in range(3)]
    table = data.dataset.factors
    assert (table.names, set(table.sizes)) == (ATTRIBUTES, {2})
    np.testing.assert_array_equal(table.classes, classes)
    assert table.values[0].tolist() == [-1, 1]


def test_the_released_rule_draws_a_tenth_of_the_train_partition(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    data = open_source(tmp_path, rule="released")
    train, valid, test = splits(data)
    assert (len(train), len(valid)) == (18, 2)
    assert sorted([*train, *valid]) == list(range(20))
    assert test == list(range(24, 30))


def test_the_released_rule_has_the_published_sizes() -> None:
    from aerepr.data.published import tested_splits

    found = tested_splits(np.arange(celeba.COUNTS[0]), np.arange(3), (0.9, 0.1, 0.0), 0)
    assert (len(found["train"]), len(found["valid"])) == (146_493, 16_277)


def test_without_attributes_there_are_no_factors(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS, attributes=False)
    assert open_source(tmp_path).dataset.factors is None


def test_a_smaller_folder_only_if_it_is_meant(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    with pytest.raises(DataError, match=r"found 20, 4, 6 pictures.*expected 162,770, 19,867, 19,962;.*subset_file"):
        build("celeba", tmp_path, root=".")
    # A complete list and a folder with a part of it.
    parts = np.repeat([0, 1, 2], celeba.COUNTS)
    lines = (f"{number:06d}.jpg {part}\n" for number, part in enumerate(parts, start=1))
    (tmp_path / "list_eval_partition.txt").write_text("".join(lines))
    with pytest.raises(DataError, match=r"found 30 of the 202,599 pictures.*000031\.jpg is not there;.*subset_file"):
        build("celeba", tmp_path, root=".")
    assert len(build("celeba", tmp_path, root=".", subset_file=True)) == 30


def test_a_missing_partition_file(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    (tmp_path / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match=r"list_eval_partition\.txt: found no such file.*aerepr data fetch celeba"):
        open_source(tmp_path)


def test_a_partition_file_of_another_form(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg train\n")
    with pytest.raises(DataError, match=r'"000002\.jpg train" in line 2'):
        open_source(tmp_path)


def test_a_missing_folder_of_pictures(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    (tmp_path / "img_align_celeba").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"img_align_celeba: found no folder.*aerepr data where celeba"):
        open_source(tmp_path)


def damage(folder: Path) -> None:
    pictures = folder / "img_align_celeba"
    whole = (pictures / "000003.jpg").read_bytes()
    (pictures / "000003.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (100, 100)).save(pictures / "000025.jpg")


def test_damaged_pictures_are_named_and_counted_and_refused(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    damage(tmp_path)
    for _ in range(2):  # the second time from the record
        with pytest.raises(
            DataError, match=r"found 2 of 30 pictures.*000003\.jpg: .*000025\.jpg: 100 x 100 .*skip_damaged"
        ):
            open_source(tmp_path)
    assert not list((tmp_path / "cache" / "decoded").glob("*.npy"))


@pytest.mark.parametrize("refused_before", [True, False])
def test_damaged_pictures_may_be_left_out(tmp_path: Path, refused_before: bool) -> None:
    classes = celeba_files(tmp_path, PARTITIONS)
    damage(tmp_path)
    if refused_before:
        with pytest.raises(DataError):
            open_source(tmp_path)
    data = open_source(tmp_path, skip_damaged=True)
    kept = [row for row in range(30) if row not in (2, 24)]
    assert len(data.dataset) == 28
    assert splits(data) == [list(range(19)), list(range(19, 23)), list(range(23, 28))]
    np.testing.assert_array_equal(data.dataset.factors.classes, classes[kept])
    brightness = taken(data.dataset, range(28))[:, 64, 64, 0].astype(int)
    np.testing.assert_allclose(brightness, [60 + 5 * row for row in kept], atol=2)
    assert any("2 pictures are damaged and left out: 000003.jpg, 000025.jpg" in note for note in data.dataset.notes)


def test_a_repaired_picture_is_seen(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    damage(tmp_path)
    open_source(tmp_path, skip_damaged=True)
    celeba_files(tmp_path, PARTITIONS)
    assert len(open_source(tmp_path).dataset) == 30
    assert len(list((tmp_path / "cache" / "decoded").glob("*.npy"))) == 1


def test_pictures_are_decoded_once(tmp_path: Path) -> None:
    celeba_files(tmp_path, PARTITIONS)
    open_source(tmp_path)
    (decoded,) = (tmp_path / "cache" / "decoded").glob("*.npy")
    written = decoded.stat().st_mtime_ns
    open_source(tmp_path, rule="released")
    assert decoded.stat().st_mtime_ns == written
    # Another picture under one of the names: all are decoded anew.
    Image.new("RGB", (178, 218), "white").save(tmp_path / "img_align_celeba" / "000007.jpg")
    assert taken(open_source(tmp_path).dataset, [6]).min() == 255
    assert len(list((tmp_path / "cache" / "decoded").glob("*.npy"))) == 1


@pytest.mark.parametrize("text", ["", "30\nA B\n000001.jpg -1 1\n", "30\nA\n000001.jpg 0\n"])
def test_attributes_that_are_not_as_published(tmp_path: Path, text: str) -> None:
    celeba_files(tmp_path, PARTITIONS)
    (tmp_path / "list_attr_celeba.txt").write_text(text)
    with pytest.raises(DataError, match=r"list_attr_celeba\.txt: found no \d+ values of -1 or 1 for (00000|any)"):
        open_source(tmp_path)
