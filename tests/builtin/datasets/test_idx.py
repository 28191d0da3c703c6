"""idx files as a data set: values, labels, splits, subset, batches."""

import numpy as np
import pytest
import torch

from aerepr.errors import DataError
from tests.builtin.datasets.building import build, pixels, source, write_idx

IMAGES = pixels(50, 6, 5)
LABELS = np.arange(50) % 4 + 3  # 3, 4, 5, 6: classes are numbered from 0 whatever the labels are


@pytest.fixture
def folder(tmp_path):
    write_idx(tmp_path / "images.gz", IMAGES)
    write_idx(tmp_path / "labels", LABELS)
    return tmp_path


def test_images_are_those_written(folder):
    dataset = build("idx", folder, images="images.gz")
    assert (len(dataset), str(dataset.shape), dataset.factors, dataset.notes) == (50, "image 1x6x5", None, [])
    resident = dataset.resident(torch.device("cpu"))
    rows = torch.tensor([7, 0, 49])
    np.testing.assert_array_equal(dataset.take(resident, rows).numpy(), IMAGES[rows][..., None])
    batch = dataset.view(dataset.take(resident, rows), rows, None, None)
    assert batch.x.shape == (3, 1, 6, 5)
    torch.testing.assert_close(batch.x[:, 0] * 255, torch.from_numpy(IMAGES[rows]).float())


def test_labels_are_a_factor(folder):
    factors = build("idx", folder, images="images.gz", labels="labels").factors
    assert (factors.names, factors.sizes) == (("label",), (4,))
    np.testing.assert_array_equal(factors.classes[:, 0], LABELS - 3)
    np.testing.assert_array_equal(factors.values[0], [3, 4, 5, 6])


def test_the_number_of_classes_may_be_given(folder):
    factors = build("idx", folder, images="images.gz", labels="labels", classes=10).factors
    assert factors.sizes == (10,)
    np.testing.assert_array_equal(factors.classes[:, 0], LABELS)
    with pytest.raises(DataError, match=r"labels, factor 'label': found class index 6, expected 0..5"):
        build("idx", folder, images="images.gz", labels="labels", classes=6)


def test_masks_of_0_and_1_are_not_guessed(folder):
    # An idx file holds bytes of 0..255: a dark file is dark, and says nothing.
    write_idx(folder / "dark", IMAGES % 2)
    dataset = build("idx", folder, images="dark")
    assert dataset.notes == []
    assert dataset.resident(torch.device("cpu")).max() == 1


def test_splits_deal_out_every_row_once(folder):
    data = source("idx", folder, images="images.gz", labels="labels", split=[0.6, 0.2, 0.2])
    rows = {split: data.rows(split) for split in ("train", "valid", "test")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 30, "valid": 10, "test": 10}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(50))
    other = source("idx", folder, images="images.gz", split=[0.6, 0.2, 0.2], split_seed=1)
    assert set(other.rows("test")) != set(rows["test"])
    assert data.info.train_size == 30
    assert [(factor.name, factor.size) for factor in data.info.factors] == [("label", 4)]


def test_a_subset_keeps_the_split_of_each_row(folder):
    whole = source("idx", folder, images="images.gz", labels="labels")
    part = source("idx", folder, images="images.gz", labels="labels", subset={"label": [1, 3]})
    for split in ("train", "valid", "test"):
        wanted = [row for row in whole.rows(split) if LABELS[row] in (4, 6)]
        np.testing.assert_array_equal(part.rows(split), wanted)
        np.testing.assert_array_equal(whole.rows(split, {"label": [1, 3]}), wanted)
    # A phase's subset replaces the spec's, it does not narrow it.
    assert set(LABELS[part.rows("train", {"label": [0]})]) == {3}


def test_batches_bring_rows_and_classes(folder):
    data = source("idx", folder, images="images.gz", labels="labels")
    rows = data.rows("train")
    batches = list(data.batches(rows, size=16))
    assert [len(batch) for batch in batches] == [16, 16, 3]
    np.testing.assert_array_equal(torch.cat([batch.rows for batch in batches]).numpy(), rows)
    np.testing.assert_array_equal(torch.cat([batch.factors for batch in batches])[:, 0].numpy(), LABELS[rows] - 3)
    np.testing.assert_allclose(data.examples(rows)[:, 0].numpy() * 255, IMAGES[rows], atol=1e-4)


def test_a_choice_is_of_the_split_and_always_the_same(folder):
    data = source("idx", folder, images="images.gz", labels="labels", subset={"label": [0, 1]})
    chosen = data.choice("train", 5)
    assert len(set(chosen)) == 5
    assert set(chosen) <= set(data.rows("train"))
    again = source("idx", folder, images="images.gz", labels="labels", subset={"label": [0, 1]})
    np.testing.assert_array_equal(again.choice("train", 5), chosen)
    assert sorted(data.choice("test", 1000)) == list(data.rows("test"))


def test_the_resident_rows_are_on_the_device_asked_for(folder):
    assert build("idx", folder, images="images.gz").resident(torch.device("meta")).device.type == "meta"
