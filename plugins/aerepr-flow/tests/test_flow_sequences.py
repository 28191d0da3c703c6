"""Sequences: transformations against known answers, factor walks against the source's own rows, and what is refused.

Shape letters: N rows, F factors, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import colorsys
import gzip
import itertools
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aerepr_flow.datasets.factor_sequences import FactorSequencesSpec, _chosen
from aerepr_flow.datasets.falor3d import Falor3D
from aerepr_flow.datasets.isaac3d import Isaac3D
from aerepr_flow.rendered import RenderedDataset
from aerepr_flow.sequences import hashed
from aerepr_flow.transforms import scale_and_rotate, shift_hue
from PIL import Image
from pydantic import ValidationError
from torch.testing import assert_close

from aerepr.data.factors import FactorTable
from aerepr.data.source import DataSource
from aerepr.errors import DataError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext
from aerepr.layers.noise import StepNoise
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.schema import json_schema

SIZES = (3, 4, 5)


def source(name: str, folder: Path, **fields: Any) -> DataSource:
    registry = Registry()
    component = registry.load("dataset", name)
    spec = component.Spec.model_validate({"name": name, **fields}, context={"registry": registry})
    return DataSource(component(spec, DataContext(folder, folder / "cache", load=registry.load)), spec)


def whole(found: DataSource, noise: StepNoise | None = None, rows: torch.Tensor | None = None) -> Batch:
    rows = torch.arange(len(found.dataset)) if rows is None else rows
    return found.batch(rows, noise)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files of one grid of factors, in row-major order and in another: pixel f of an image is class f."""
    folder = tmp_path_factory.mktemp("grid")
    classes_NF = np.array(list(itertools.product(*map(range, SIZES))))
    images = np.zeros((len(classes_NF), 4, 4, 1), np.uint8)
    images[:, 0, :3, 0] = 10 * classes_NF
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(classes_NF))
    np.savez(folder / "ordered.npz", images=images, factors=classes_NF)
    np.savez(folder / "shuffled.npz", images=images[order], factors=classes_NF[order])
    np.savez(folder / "part.npz", images=images[:-1], factors=classes_NF[:-1])
    return folder


def on_grid(name: str) -> dict[str, Any]:
    return {
        "name": "npz",
        "path": f"{name}.npz",
        "images": "images",
        "binary": False,
        "layout": "NHWC",
        "factors": "factors",
        "factor_names": ["a", "b", "c"],
        "factor_sizes": list(SIZES),
    }


def read_off(batch: Batch) -> np.ndarray:
    """The classes that each frame shows, (N, T, F)."""
    return (batch.x[:, :, 0, 0, :3] * 25.5).round().long().numpy()


# Transformations.


def test_hue_is_shifted_as_colorsys_does_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(7, 3, 5, 4, generator=generator)
    x[0] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]  # pure red
    x[1] = 0.4  # grey
    degrees = torch.tensor([20.0, 20.0, 0.0, 160.0, 359.0, 400.0, -30.0])
    found = shift_hue(x, degrees)
    for number, shift in enumerate(degrees.tolist()):
        for row, column in itertools.product(range(5), range(4)):
            hue, saturation, value = colorsys.rgb_to_hsv(*x[number, :, row, column].tolist())
            expected = colorsys.hsv_to_rgb((hue + shift / 360) % 1, saturation, value)
            assert_close(found[number, :, row, column], torch.tensor(expected), atol=2e-6, rtol=0)


def test_rotation_is_counter_clockwise_about_the_centre() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 7] = 1  # right of the centre
    up = scale_and_rotate(x, torch.ones(1), torch.tensor([90.0]))
    assert up[0, 0, 1, 4] == pytest.approx(1, abs=1e-5)
    assert up.sum() == pytest.approx(1, abs=1e-4)


def test_images_that_are_not_square_keep_their_shape() -> None:
    x = torch.rand(1, 2, 6, 10, generator=torch.Generator().manual_seed(0))
    assert_close(scale_and_rotate(x, torch.ones(1), torch.tensor([180.0])), x.flip(2, 3), atol=1e-5, rtol=0)
    wide = torch.zeros(1, 1, 7, 15)
    wide[0, 0, 3, 9] = 1  # two to the right of the centre
    assert scale_and_rotate(wide, torch.ones(1), torch.tensor([90.0]))[0, 0, 1, 7] == pytest.approx(1, abs=1e-5)


def test_scale_enlarges_about_the_centre() -> None:
    x = torch.zeros(1, 1, 17, 17)
    x[0, 0, 8, 10:13] = 1
    large = scale_and_rotate(x, torch.tensor([2.0]), torch.zeros(1))
    columns = torch.arange(17) - 8
    centre = float((large[0, 0] * columns).sum() / large.sum())
    assert centre == pytest.approx(2 * 3, abs=0.3)
    assert float(large.sum()) == pytest.approx(4 * 3, rel=0.1)


def test_frames_are_the_first_one_transformed_at_once(tmp_path: Path) -> None:
    found = source("transform_sequences", tmp_path, source={"name": "sprites", "size": 16}, steps=3, scale_step=0.2)
    rows = torch.arange(0, 600_000, 20_011)
    batch = whole(found, rows=rows)
    assert found.info.labels == ("scale", "rotation", "hue")
    assert (found.info.frames, found.info.shape.sizes, batch.x.shape[1:]) == (4, (3, 16, 16), (4, 3, 16, 16))
    assert batch.label is not None
    assert set(batch.label.tolist()) == {0, 1, 2}
    still = source("sprites", tmp_path, size=16).batch(rows).x
    for image, frames, label in zip(still, batch.x, batch.label.tolist(), strict=True):
        red = torch.cat([image, torch.zeros(2, 16, 16)])[None]
        assert_close(frames[:1], red)
        for t in range(1, 4):
            scale = torch.tensor([1.0 + 0.2 * t * (label == 0)])
            expected = scale_and_rotate(red, scale, torch.tensor([10.0 * t * (label == 1)]))
            if label == 2:
                expected = shift_hue(red, torch.tensor([20.0 * t]))
            assert_close(frames[t : t + 1], expected, atol=1e-5, rtol=0)


def test_colour_stays_colour_and_grey_stays_grey_without_a_hue(tmp_path: Path) -> None:
    rooms = source("transform_sequences", tmp_path, source={"name": "rooms", "size": 16}, steps=1)
    assert rooms.info.shape.sizes == (3, 16, 16)
    grey = source(
        "transform_sequences", tmp_path, source={"name": "sprites", "size": 16}, steps=1, transforms=["rotation"]
    )
    assert (grey.info.shape.sizes, grey.info.labels) == ((1, 16, 16), ("rotation",))


# Factors.


@pytest.mark.parametrize("file", ["ordered", "shuffled"])
@pytest.mark.parametrize("start", ["zero", "own"])
def test_factor_k_takes_successive_values_and_the_others_are_held(grid: Path, file: str, start: str) -> None:
    found = source("factor_sequences", grid, source=on_grid(file), steps=2, start=start, factors=["c", "a"])
    assert found.info.labels == ("c", "a")
    batch = whole(found)
    assert batch.label is not None
    assert batch.factors is not None
    own_NF = whole(source(**on_grid(file), folder=grid)).factors
    assert own_NF is not None
    for own, shown, label, first in zip(own_NF, read_off(batch), batch.label, batch.factors, strict=True):
        column = (2, 0)[int(label)]
        begin = 0 if start == "zero" else int(own[column])
        assert shown[:, column].tolist() == [(begin + t) % SIZES[column] for t in range(3)]
        for other in {0, 1, 2} - {column}:
            assert shown[:, other].tolist() == [int(own[other])] * 3
        assert first.tolist() == shown[0].tolist()


@pytest.mark.parametrize("start", ["zero", "own"])
def test_factors_are_of_the_first_frame_in_training_too(grid: Path, start: str) -> None:
    found = source("factor_sequences", grid, source=on_grid("shuffled"), steps=2, start=start, k="row")
    rows = torch.arange(60)
    batch = whole(found, StepNoise(0, torch.tensor(5), rows), rows)
    assert batch.factors is not None
    assert batch.label is not None
    assert (read_off(batch)[:, 0] == batch.factors.numpy()).all()
    fixed = whole(found).label
    assert fixed is not None
    assert not torch.equal(batch.label, fixed)


def test_left_out_factors_are_all_with_values_enough(tmp_path: Path) -> None:
    found = source("factor_sequences", tmp_path, source={"name": "rooms", "size": 16}, steps=7)
    # As published for 3D Shapes: all but shape, which has four values.
    assert found.info.labels == ("floor_hue", "wall_hue", "object_hue", "scale", "orientation")


@pytest.mark.parametrize(
    ("name", "sizes", "fields"),
    [("rooms", (10, 10, 10, 8, 4, 15), {"factors": ["wall_hue", "orientation"]}), ("sprites", (3, 6, 40, 32, 32), {})],
)
@pytest.mark.parametrize("start", ["zero", "own"])
def test_every_frame_of_a_drawn_grid_is_the_picture_of_its_factors(
    tmp_path: Path, name: str, sizes: tuple[int, ...], fields: dict[str, Any], start: str
) -> None:
    plain = source(name, tmp_path, size=16)
    found = source("factor_sequences", tmp_path, source={"name": name, "size": 16}, steps=5, start=start, **fields)
    rows = torch.arange(0, len(plain.dataset), len(plain.dataset) // 40)
    batch, table = whole(found, rows=rows), plain.dataset.factors
    assert batch.label is not None
    assert table is not None
    assert set(batch.label.tolist()) == set(range(len(found.info.labels)))
    # The row of a combination, by the sizes of the published grid, the last factor fastest.
    classes_NF = np.array(np.unravel_index(rows.numpy(), sizes)).T
    for t in range(6):
        shown_NF = classes_NF.copy()
        for shown_F, label in zip(shown_NF, batch.label.tolist(), strict=True):
            column = table.names.index(found.info.labels[label])
            shown_F[column] = (t + (start == "own") * shown_F[column]) % sizes[column]
        at = torch.from_numpy(np.ravel_multi_index(tuple(shown_NF.T), sizes))
        assert_close(batch.x[:, t], plain.batch(at).x)


def test_the_published_files_of_shapes_become_sequences(real_data: Path, tmp_path: Path) -> None:
    # The real subset is not a full grid: transformations take it, walks along factors say what is missing.
    (tmp_path / "3dshapes.h5").symlink_to(real_data / "shapes3d" / "3dshapes_subset.h5")
    nested: dict[str, Any] = {"name": "shapes3d", "root": ".", "subset_file": True}
    found = source("transform_sequences", tmp_path, source=nested, steps=2)
    rows = torch.arange(12)
    batch, still = whole(found, rows=rows), source(**nested, folder=tmp_path).batch(rows)
    assert (found.info.frames, found.info.shape.sizes) == (3, (3, 64, 64))
    assert_close(batch.x[:, 0], still.x)
    assert batch.label is not None
    assert set(batch.label.tolist()) == {0, 1, 2}
    for row, k in enumerate(batch.label.tolist()):
        for t in (1, 2):
            scale, degrees = torch.tensor([1 + 0.1 * t * (k == 0)]), torch.tensor([10.0 * t * (k == 1)])
            expected = scale_and_rotate(still.x[row : row + 1], scale, degrees)
            if k == 2:
                expected = shift_hue(still.x[row : row + 1], torch.tensor([20.0 * t]))
            assert_close(batch.x[row, t][None], expected.clamp(0, 1), atol=1e-5, rtol=0)
    with pytest.raises(DataError, match="found unknown classes of factor scale, expected a full grid"):
        source("factor_sequences", tmp_path, source=nested, steps=2)


# Which transformation.


def test_a_training_batch_shares_k_or_every_row_draws_its_own(grid: Path) -> None:
    rows = torch.arange(60)
    shared = source("factor_sequences", grid, source=on_grid("ordered"), steps=2)
    labels = []
    for step in range(40):
        label = whole(shared, StepNoise(0, torch.tensor(step), rows), rows).label
        assert label is not None
        assert label.stride() == (0,)
        labels.append(int(label[0]))
    assert set(labels) == {0, 1, 2}
    apart = source("factor_sequences", grid, source=on_grid("ordered"), steps=2, k="row")
    label = whole(apart, StepNoise(0, torch.tensor(0), rows), rows).label
    assert label is not None
    assert set(label.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_without_noise_every_transformation_is_shown_about_as_often(count: int) -> None:
    labels = hashed(torch.arange(20_000), count)
    shares = torch.bincount(labels, minlength=count) / 20_000
    assert_close(shares, torch.full((count,), 1 / count), atol=0.02, rtol=0)
    # Not by a pattern that a factor grid has, too.
    for period in (2, 3, 4, 5, 8, 10, 15):
        among = torch.bincount(labels[::period], minlength=count) / len(labels[::period])
        assert_close(among, torch.full((count,), 1 / count), atol=0.05, rtol=0)


# Splits, nesting.


def write_mnist(folder: Path) -> None:
    for part, count in (("train", 40), ("t10k", 10)):
        pixels = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + pixels.tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(i % 10 for i in range(count)))


def test_published_splits_pass_through_with_the_outer_seed(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    nested: dict[str, Any] = {"name": "mnist", "root": ".", "subset_file": True}
    for seed in (0, 1):
        found = source("transform_sequences", tmp_path, source=nested, split=(0.5, 0.5, 0), split_seed=seed)
        plain = source(**nested, folder=tmp_path, split=(0.5, 0.5, 0), split_seed=seed)
        for split in ("train", "valid", "test"):
            assert np.array_equal(found.rows(split), plain.rows(split))
        assert found.rows("test").tolist() == list(range(40, 50))
        assert len(found.rows("valid")) == 20
    assert found.rows("train", {"label": [3]}).tolist() == plain.rows("train", {"label": [3]}).tolist()


def test_digits_are_red_and_turn(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    nested: dict[str, Any] = {"name": "mnist", "root": ".", "subset_file": True}
    batch = whole(source("transform_sequences", tmp_path, source=nested, steps=8))
    grey = source(**nested, folder=tmp_path).batch(torch.arange(50)).x
    assert batch.x.shape == (50, 9, 3, 28, 28)
    assert_close(batch.x[:, 0, :1], grey)
    assert batch.label is not None
    for row, k in enumerate(batch.label.tolist()):
        assert bool((batch.x[row, :, 1:] != 0).any()) == (k == 2)  # only a hue leaves the red channel
    turned = [row for row, k in enumerate(batch.label.tolist()) if k == 1]
    for t in range(1, 9):
        expected = scale_and_rotate(grey[turned], torch.ones(len(turned)), torch.full((len(turned),), 10.0 * t))
        assert_close(batch.x[turned, t, :1], expected.clamp(0, 1), atol=1e-5, rtol=0)


def test_where_the_files_are_is_not_in_the_hash(grid: Path) -> None:
    def tables(path: str) -> dict[str, Any]:
        nested = {**on_grid("ordered"), "path": path}
        data = {"name": "factor_sequences", "source": nested, "steps": 2}
        model = {"latent_dim": 2, "encoder": {"name": "mlp"}, "decoder": {"name": "mlp"}}
        return {"model": model, "data": data, "train": {"steps": 1, "batch_size": 2}}

    here, there, other = (spec_from_tables(tables(path)) for path in ("ordered.npz", "/away/ordered.npz", "part.npz"))
    assert here.hash() == there.hash()
    assert here.hash() != other.hash()
    assert spec_from_tables(json.loads(json.dumps(here.tables()))) == here


def test_the_schema_of_nested_data_sets_ends() -> None:
    nested = json_schema()["properties"]["data"]["anyOf"]
    (own,) = (item for item in nested if item["allOf"][1]["properties"]["name"]["const"] == "factor_sequences")
    assert own


# Pictures of Falor3D and Isaac3D.


def write_rendered(folder: Path, values: np.ndarray | None = None, count: int = 6, labels: str = "labels.npy") -> None:
    (folder / "images").mkdir(parents=True)
    for row in range(count):
        Image.new("RGB", (32, 32), (10 * row, 100, 5)).save(folder / "images" / f"{row:06d}.png")
    if values is not None:
        with (folder / labels).open("wb") as file:
            np.save(file, values)


@pytest.mark.parametrize(
    ("name", "component", "inside"), [("falor3d", Falor3D, "Falcor3D_down128"), ("isaac3d", Isaac3D, "")]
)
def test_pictures_are_rows_in_the_order_of_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, component: type[RenderedDataset], inside: str
) -> None:
    monkeypatch.setattr(component, "sizes", (1, 2, *(1,) * (len(component.names) - 3), 3))
    classes_NF = np.array(list(itertools.product(*map(range, component.sizes))))
    values_NF = classes_NF / np.maximum(np.array(component.sizes) - 1, 1)
    write_rendered(tmp_path / "root" / inside, values_NF, labels=component.labels_file[0])
    found = source(name, tmp_path, root="root", size=16)
    batch = whole(found)
    assert (batch.x[:, 0] * 255).round()[:, 8, 8].tolist() == [0, 10, 20, 30, 40, 50]
    assert batch.factors is not None
    assert batch.factors.tolist() == classes_NF.tolist()
    assert batch.x.shape == (6, 3, 16, 16)
    last = component.names[-1]
    walked = source("factor_sequences", tmp_path, source={"name": name, "root": "root", "size": 16}, steps=2)
    assert walked.info.labels == (last,)
    # Frame t of every row is the picture with the last factor at t: 0, 1, 2 or 3, 4, 5.
    reds = (whole(walked).x[:, :, 0, 8, 8] * 255).round()
    assert reds.tolist() == [[0, 10, 20]] * 3 + [[30, 40, 50]] * 3


def test_pictures_that_are_not_as_published_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no 000000.png in it, in Falcor3D_down128/images"):
        source("falor3d", tmp_path, root=".")
    monkeypatch.setattr(Falor3D, "sizes", (1, 2, 1, 1, 1, 1, 3))
    classes_NF = np.array(list(itertools.product(*map(range, Falor3D.sizes))))
    values_NF = classes_NF / np.maximum(np.array(Falor3D.sizes) - 1, 1)
    write_rendered(tmp_path / "turned", values_NF[::-1], labels="train-rec.labels")  # the published name
    with pytest.raises(DataError, match="in another order than the pictures'"):
        source("falor3d", tmp_path, root="turned")
    write_rendered(tmp_path / "short", count=5)
    with pytest.raises(DataError, match="found 5 pictures and no 000005.png, expected 6"):
        source("falor3d", tmp_path, root="short")


@pytest.mark.parametrize(
    ("component", "count", "steps", "left_out"), [(Falor3D, 233_280, 4, set()), (Isaac3D, 737_280, 3, {"object_shape"})]
)
def test_the_published_grids_have_the_published_transformations(
    component: type[RenderedDataset], count: int, steps: int, left_out: set[str]
) -> None:
    assert math.prod(component.sizes) == count
    table = FactorTable.from_grid(
        component.names, component.sizes, [np.linspace(0, 1, size) for size in component.sizes]
    )
    spec = FactorSequencesSpec.model_construct(factors=None, steps=steps)
    assert set(component.names) - set(_chosen(spec, table, steps + 1, "here")) == left_out


# Bad input.


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "greater than or equal to 1|greater than 0"),
        ({"source": {**on_grid("ordered"), "split_seed": 3}}, r"split_seed is said once, in \[data\]"),
        ({"source": {"name": "nothing"}}, 'no dataset named "nothing"'),
        ({"k": "each"}, "'batch' or 'row'"),
        ({"start": "one"}, "'zero' or 'own'"),
    ],
)
def test_specs_that_cannot_be_meant(grid: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        source("factor_sequences", grid, **{"source": on_grid("ordered"), "steps": 2, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factors": ["d"]}, "found no factor named 'd', expected one of: a, b, c"),
        ({"factors": ["a", "a"]}, "expected each name once"),
        ({"factors": ["b"], "steps": 4}, "found 4 values of factor b, expected 5 for steps = 4"),
        ({"steps": 5}, "found no factor of 6 values or more, expected one for steps = 5.*c has 5"),
        ({"subset": {"b": [0]}}, "data.subset: found b, which .* walk through"),
        ({"source": on_grid("part")}, "found 59 rows, expected each of the 60 combinations"),
        (
            {"source": {"name": "npz", "path": "ordered.npz", "images": "images", "layout": "NHWC"}},
            "found no factor table",
        ),
        (
            {"source": {"name": "npz", "path": "ordered.npz", "values": "factors"}},
            "with a vector 3, expected still images",
        ),
    ],
)
def test_grids_that_cannot_be_walked(grid: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        source("factor_sequences", grid, **{"source": on_grid("ordered"), "steps": 2, **fields})


def test_sequences_are_not_made_of_sequences(grid: Path) -> None:
    nested = {"name": "factor_sequences", "source": on_grid("ordered"), "steps": 2}
    with pytest.raises(DataError, match='source "factor_sequences" with sequences of 3 frames, expected still images'):
        source("transform_sequences", grid, source=nested)


def test_transformations_that_leave_no_image_are_refused(grid: Path) -> None:
    with pytest.raises(ValidationError, match="scale_step = -0.5 leaves no image after 2 steps"):
        source("transform_sequences", grid, source=on_grid("ordered"), steps=2, scale_step=-0.5)
    with pytest.raises(ValidationError, match="expected each transformation once"):
        source("transform_sequences", grid, source=on_grid("ordered"), transforms=["hue", "hue"])
