"""Bad data, met by `train` and `check` of a spec: one clear error, and nothing is left behind.

Data is read before a run directory is made, so there is none to clean up, not even one marked as failed.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from aerepr.errors import AereprError, DataError, SpecError
from aerepr.spec.write import to_toml
from aerepr.workflows.check import check
from aerepr.workflows.train import train
from tests.builtin.datasets.building import pixels, small_tables, vector_tables, write_idx

IMAGES = pixels(40, 8, 8, 3)
CLASSES = np.arange(40) % 4


class Unpickled:
    """Running its constructor again from a file is what reading a pickle would do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good files; tests spoil one of them."""
    write_idx(tmp_path / "images.gz", IMAGES[..., 0])
    write_idx(tmp_path / "labels.gz", CLASSES)
    np.savez(tmp_path / "a.npz", images=IMAGES, classes=CLASSES)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["classes"] = IMAGES, CLASSES
    np.save(tmp_path / "x.npy", IMAGES[:, 0, 0] / 255)
    np.save(tmp_path / "y.npy", CLASSES)
    (tmp_path / "t.csv").write_text("a,b,group\n" + "".join(f"{i},{i / 7:.3f},{i % 4}\n" for i in range(40)))
    for number, image in enumerate(IMAGES):
        (tmp_path / "photos" / f"c{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / f"c{number % 2}" / f"{number}.png")
    return tmp_path


DATA: dict[str, dict[str, Any]] = {
    "idx": {"images": "images.gz", "labels": "labels.gz"},
    "npz": {"path": "a.npz", "images": "images", "factors": "classes"},
    "hdf5": {"path": "a.h5", "images": "images", "factors": "classes"},
    "array": {"path": "x.npy", "factors": "y.npy"},
    "csv": {"path": "t.csv", "factors": ["group"]},
    "image_folder": {"path": "photos"},
}


def spec_of(folder: Path, name: str, **changes: Any) -> Path:
    tables = vector_tables if name in ("array", "csv") else small_tables
    path = folder / "spec.toml"
    path.write_text(to_toml(tables({"name": name, **DATA[name], **changes})))
    return path


def refused(spec: Path, *texts: str, error: type[AereprError] = DataError, sets: tuple[str, ...] = ()) -> str:
    """Train and check a spec; both must say all of `texts`, and training must leave nothing behind."""
    before = sorted(spec.parent.rglob("*"))
    with pytest.raises(error) as caught:
        train(spec, sets=sets, runs=spec.parent / "runs")
    assert caught.value.exit_code == (2 if error is SpecError else 1)
    message = str(caught.value)
    for text in texts:
        assert text in message
    assert sorted(spec.parent.rglob("*")) == before
    _, report = check(spec, sets)
    assert len(report.problems) == 1
    for text in texts:
        assert text in report.problems[0].message
    return message


@pytest.mark.parametrize("name", DATA)
def test_the_unspoilt_files_train(folder: Path, name: str) -> None:
    run = train(spec_of(folder, name), runs=folder / "runs")
    assert (run / "DONE").exists()


FILES = [("idx", "images.gz"), ("idx", "labels.gz"), ("npz", "a.npz"), ("hdf5", "a.h5")]
FILES += [("array", "x.npy"), ("array", "y.npy"), ("csv", "t.csv")]


def missing(path: Path) -> str:
    path.unlink()
    return "found no such file"


def empty(path: Path) -> str:
    path.write_bytes(b"")
    return "found an empty file (0 bytes), expected data"


def truncated(path: Path) -> str:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return "found"


def something_else(path: Path) -> str:
    path.write_bytes(bytes(range(256)) * 4)
    return "found"


def cut_before_packing(path: Path) -> str:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-3]))
    return "bytes"


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.parametrize("spoil", [missing, empty, truncated, something_else])
def test_a_file_that_cannot_be_read(folder: Path, name: str, file: str, spoil: Callable[[Path], str]) -> None:
    spec = spec_of(folder, name)
    if name == "csv" and spoil is truncated:
        # Half a table is a shorter table, unless the cut is in the middle of a line.
        (folder / file).write_text((folder / file).read_text()[:60].rpartition(",")[0])
        refused(spec, file, "line", "found 2 cells, expected 3")
        return
    message = refused(spec, file, spoil(folder / file), "expected")
    assert message.count("\n") == 0


def test_an_idx_file_cut_before_it_was_packed(folder: Path) -> None:
    cut_before_packing(folder / "images.gz")
    refused(spec_of(folder, "idx"), "images.gz", "found", "expected")


def test_a_picture_that_does_not_decode(folder: Path) -> None:
    whole = (folder / "photos" / "c0" / "0.png").read_bytes()
    (folder / "photos" / "c0" / "0.png").write_bytes(whole[:60])
    (folder / "photos" / "c1" / "1.png").write_bytes(b"")
    refused(spec_of(folder, "image_folder"), "0.png", "1.png", "found 2 of 40 pictures", "expected")


def test_a_folder_of_pictures_that_is_not_there_or_empty(folder: Path) -> None:
    refused(spec_of(folder, "image_folder", path="photo"), "photo", "no such folder", "expected a folder of pictures")
    (folder / "nothing").mkdir()
    refused(spec_of(folder, "image_folder", path="nothing"), "nothing", "found no pictures", "expected")


def test_pictures_of_several_sizes(folder: Path) -> None:
    Image.fromarray(IMAGES[0, :4]).save(folder / "photos" / "c0" / "0.png")
    refused(spec_of(folder, "image_folder"), "4 x 8", "8 x 8", "set a size to resize to")


def save(folder: Path, name: str, images: np.ndarray, classes: np.ndarray = CLASSES) -> None:
    if name == "npz":
        np.savez(folder / "a.npz", images=images, classes=classes)
    else:
        with h5py.File(folder / "a.h5", "w") as file:
            file["images"], file["classes"] = images, classes


def spoilt(images: np.ndarray, value: float) -> np.ndarray:
    changed = images.astype(np.float32) / 255
    changed[3, 1, 2, 0] = value
    return changed


ARRAYS = {
    "floats above 1": (IMAGES.astype(np.float32), ["float32 values from 0 to 255, expected [0, 1]"]),
    "a float below 0": (spoilt(IMAGES, -0.1), ["values from -0.1 to 1, expected [0, 1]"]),
    "a NaN pixel": (spoilt(IMAGES, np.nan), ["found 1 pixels that are NaN", "[3, 1, 2, 0]", "expected finite"]),
    "wrong dtype": (IMAGES.astype(np.complex64), ["found dtype complex64, expected uint8"]),
    "integers above 255": (IMAGES.astype(np.int32) * 2, ["int32 values from 0 to 510, expected 0..255"]),
    "two dimensions": (IMAGES[:, :, 0, 0], ["found shape (40, 8)", "expected (N, H, W) or (N, H, W, C)"]),
    "two channels": (IMAGES[..., :2], ["found shape (40, 8, 8, 2) with 2 channels, expected 1, 3 or 4"]),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), ["found shape (40, 3, 8, 8)", 'layout = "NCHW"']),
    "no rows": (IMAGES[:0], ["found an empty array of shape (0, 8, 8, 3), expected at least one row"]),
}


@pytest.mark.parametrize("name", ["npz", "hdf5"])
@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_is_no_images(folder: Path, name: str, case: str) -> None:
    images, texts = ARRAYS[case]
    save(folder, name, images, CLASSES[: len(images)])
    refused(spec_of(folder, name), f"{DATA[name]['path']}[images]", *texts)


@pytest.mark.parametrize("name", ["npz", "hdf5"])
def test_text_where_numbers_are_expected(folder: Path, name: str) -> None:
    save(folder, name, np.full((40, 8, 8, 3), b"x"))
    refused(spec_of(folder, name), f"{DATA[name]['path']}[images]", "found dtype", "expected")


def test_an_idx_file_of_another_shape_or_type(folder: Path) -> None:
    refused(spec_of(folder, "idx", images="labels.gz"), "labels.gz", "found shape (40,)", "expected (N, H, W)")
    refused(
        spec_of(folder, "idx", labels="images.gz"), "images.gz", "found shape (40, 8, 8)", "expected (rows, factors)"
    )


def test_vectors_of_another_shape_or_not_finite(folder: Path) -> None:
    np.save(folder / "x.npy", np.zeros((40, 2, 2)))
    refused(spec_of(folder, "array"), "x.npy", "found shape (40, 2, 2)", "expected")
    np.save(folder / "x.npy", np.where(np.eye(40, 3) > 0, np.nan, 1.0))
    refused(spec_of(folder, "array"), "x.npy", "found 3 values that are NaN", "[0, 0]", "expected finite")
    np.save(folder / "x.npy", np.full((40, 3), "1.0"))
    refused(spec_of(folder, "array"), "x.npy", "found dtype", "expected")
    (folder / "t.csv").write_text("a,b,group\n1,2,0\n1,nan,0\n")
    refused(spec_of(folder, "csv"), "t.csv, line 3", "found 'nan' in column 'b', expected a finite number")


@pytest.mark.parametrize("name", ["idx", "npz", "hdf5", "array"])
def test_a_factor_table_of_another_length(folder: Path, name: str) -> None:
    write_idx(folder / "labels.gz", CLASSES[:39])
    np.save(folder / "y.npy", CLASSES[:39])
    if name in ("npz", "hdf5"):
        save(folder, name, IMAGES, CLASSES[:39])
    file = {"idx": "labels.gz", "npz": "a.npz[classes]", "hdf5": "a.h5[classes]", "array": "y.npy"}[name]
    refused(spec_of(folder, name), file, "found 39 rows of factors, expected 40, one for each row of the data")


@pytest.mark.parametrize("key", ["images", "factors"])
def test_a_pickled_array_among_the_keys_read(folder: Path, key: str) -> None:
    pickled = np.array([Unpickled()] * 40, dtype=object)
    np.savez(folder / "a.npz", images=IMAGES, classes=CLASSES, pickled=pickled)
    refused(
        spec_of(folder, "npz", **{key: "pickled"}), "a.npz[pickled]", "found a pickled object array, expected numbers"
    )
    np.save(folder / "x.npy", pickled)
    refused(spec_of(folder, "array"), "x.npy", "found a pickled object array, expected numbers")


@pytest.mark.parametrize("name", ["npz", "hdf5"])
def test_a_key_that_is_not_there(folder: Path, name: str) -> None:
    refused(
        spec_of(folder, name, images="image"), f'{DATA[name]["path"]}: found no key "image" (did you mean "images"?)'
    )


def test_a_size_the_network_cannot_take(folder: Path) -> None:
    # 34 halves once, to 17.
    np.savez(folder / "a.npz", images=pixels(40, 34, 34, 3), classes=CLASSES)
    texts = ["images of 34x34 halve exactly 1 times", "crop or resize to sides that 4 divides, such as 32x32"]
    message = refused(spec_of(folder, "npz"), *texts, error=SpecError)
    assert message.startswith("small: 1 problem")


def test_variables_that_do_not_divide_the_latent(folder: Path) -> None:
    said = "4 latent dimensions do not split into 3 equal variables: use 1, 2 or 4"
    message = refused(spec_of(folder, "npz"), said, error=SpecError, sets=("model.decoder.variables=3",))
    assert "model.decoder  " in message


def test_a_subset_that_cannot_be(folder: Path) -> None:
    refused(spec_of(folder, "npz", subset={"lable": [0]}), "no factor named 'lable' (did you mean \"label\"?)")
    refused(spec_of(folder, "npz", subset={"label": [4]}), "class 4 for factor 'label', expected whole numbers 0..3")
    refused(spec_of(folder, "npz", factors="images", subset={"label": [0]}), "a.npz[images]", "expected")
    images = spec_of(folder, "npz")
    images.write_text(images.read_text().replace('factors = "classes"\n', "subset = {label = [0]}\n"))
    refused(images, "needs a factor table, and this data set has none")


def test_a_phase_with_a_subset_that_cannot_be(folder: Path) -> None:
    spec = spec_of(folder, "npz")
    phases = "\n[[train.phases]]\nsteps = 3\n[[train.phases]]\nsteps = 2\nsubset = {shape = [0]}\n"
    spec.write_text(spec.read_text() + phases)
    refused(spec, "no factor named 'shape'", error=SpecError)
    spec.write_text(spec.read_text().replace("{shape = [0]}", "{label = [0]}"))
    refused(spec, "leaves 7 training rows", "fewer than train.batch_size", error=SpecError)


def test_a_batch_larger_than_the_rows(folder: Path) -> None:
    refused(
        spec_of(folder, "npz"),
        "29 is more than the 28 training rows: use at most 28",
        error=SpecError,
        sets=("train.batch_size=29",),
    )
    assert train(spec_of(folder, "npz"), sets=["train.batch_size=28"], runs=folder / "runs").is_dir()


def test_too_few_rows_to_split(folder: Path) -> None:
    np.savez(folder / "a.npz", images=IMAGES[:2], classes=CLASSES[:2])
    refused(spec_of(folder, "npz"), "of 2 rows, which leaves 0 rows", "expected at least one")


def test_standardising_is_for_vectors(folder: Path) -> None:
    refused(spec_of(folder, "npz", standardize=True), "is for vector data", error=SpecError)
