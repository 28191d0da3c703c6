from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from aerepr.errors import DataError, ShapeError, UsageError
from aerepr.kinds.shape import DataShape
from aerepr.sampling import pictures
from aerepr.sampling.pictures import (
    PADDING,
    can_picture,
    grid,
    labelled_rows,
    moving_rows,
    require_picture,
    save_gif,
    save_png,
    scatter,
)


def constant(*levels: float, channels: int = 1, size: int = 4) -> np.ndarray:
    return np.stack([np.full((channels, size, size), level, np.float32) for level in levels])


def test_grid_enlarges_by_whole_pixels_and_keeps_every_value():
    images = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (3, 3, 5, 4), dtype=np.uint8)
    picture = grid(images, columns=2, pad=1, scale=3)
    assert picture.shape == (1 + 2 * (15 + 1), 1 + 2 * (12 + 1), 3)
    # Second row, first column is the third image.
    cell = picture[17 : 17 + 15, 1 : 1 + 12]
    np.testing.assert_array_equal(cell[::3, ::3], images[2].transpose(1, 2, 0))
    np.testing.assert_array_equal(cell[2::3, 1::3], images[2].transpose(1, 2, 0))


def test_what_is_not_an_image_is_padding():
    picture = grid(constant(0.0, 0.0, 0.0), columns=2, pad=1, scale=1)
    assert (picture[0] == PADDING).all()
    assert (picture[:, 5] == PADDING).all()
    assert (picture[6:10, 6:10] == PADDING).all()  # the place of a fourth image


def test_floats_are_rounded_and_clipped():
    picture = grid(constant(-0.5, 0.5, 1.5), columns=3, pad=0, scale=1)
    assert [int(picture[0, 4 * i, 0]) for i in range(3)] == [0, 128, 255]


def test_alpha_is_shown_on_white():
    image = np.zeros((1, 4, 2, 2), np.uint8)
    image[:, 3] = 51  # black, one fifth opaque
    assert (grid(image, pad=0, scale=1) == 204).all()


@pytest.mark.parametrize(("size", "cell"), [(8, 96), (16, 96), (28, 84), (32, 96), (64, 64), (200, 200)])
def test_cells_of_small_images_are_readable(size, cell):
    assert grid(constant(0.5, size=size), pad=0).shape == (cell, cell, 3)


def test_many_images_are_enlarged_less():
    assert max(grid(np.zeros((2500, 1, 16, 16), np.uint8), pad=0).shape) <= pictures.SIDE


def test_a_picture_too_large_is_refused():
    images = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (100, 1, 1000, 1000))
    with pytest.raises(UsageError, match=r"100 images make a picture of 10022 x 10022 pixels.*npz"):
        grid(images)


@pytest.mark.parametrize("shape", [(2, 2, 4, 4), (2, 4, 4), (0, 1, 4, 4)])
def test_what_is_not_images_is_refused(shape):
    with pytest.raises(ShapeError, match="a picture takes"):
        grid(np.zeros(shape, np.uint8))


def test_nan_is_refused():
    with pytest.raises(DataError, match="NaN or infinity"):
        grid(constant(float("nan")))


def test_rows_keep_their_order_beside_their_labels():
    picture = labelled_rows([("first", constant(0.0, 0.0)), ("second one", constant(1.0))], pad=2)
    cells = picture[:, -2 * 98 :]
    assert (cells[10, 10] == 0).all()
    assert (cells[110, 10] == 255).all()
    assert (cells[110, 110] == PADDING).all()  # the second row is shorter
    label = picture[:, : -2 * 98 - 2]
    starts = []
    for part in (label[:98], label[98:]):
        dark = np.argwhere(part.min(axis=2) < 128)
        assert len(dark) > 50  # there is text
        assert abs(dark[:, 0].mean() - 49) < 8  # at half height
        assert dark[:, 1].max() < part.shape[1] - 3
        starts.append(dark[:, 1].min())
    assert starts[1] < starts[0] - 20  # the longer label is the second
    assert (picture[:, 0] == 255).all()  # the longest label is not cut


def test_groups_of_rows_stand_apart():
    rows = [(str(i), constant(0.0)) for i in range(4)]
    assert len(labelled_rows(rows, group=2)) == len(labelled_rows(rows)) + 10


def test_rows_of_unlike_images_are_refused():
    with pytest.raises(ShapeError, match="one size"):
        labelled_rows([("a", constant(0.0, size=4)), ("b", constant(0.0, size=5))])


def test_scatter_puts_points_where_they_belong():
    corners = np.array([[-5.0, 0.0], [5.0, 1.0]])
    picture = scatter([("data", corners), ("samples", np.array([[0.0, 0.5]]))]).astype(int)
    picture[:45] = picture[:, :45] = picture[685:] = 255  # what is written around the frame
    grey = np.argwhere((abs(picture - pictures.PALETTE[0]) < 8).all(axis=2))
    upper, lower = grey[grey[:, 0] < 360].mean(axis=0), grey[grey[:, 0] > 360].mean(axis=0)
    assert upper[0] < 80
    assert upper[1] > 640
    assert lower[0] > 640
    assert lower[1] < 120
    orange = np.argwhere((abs(picture - pictures.PALETTE[1]) < 8).all(axis=2))
    np.testing.assert_allclose(orange.mean(axis=0), (upper + lower) / 2, atol=1)


def test_only_paths_are_joined():
    line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    drawn = [(scatter(*given) != 255).any(axis=2).sum() for given in ([[("a", line)]], [[], [("a", line)]])]
    assert drawn[1] > drawn[0] + 500


def test_groups_without_points_are_left_out_and_colours_stay():
    one = np.array([[0.0, 0.0]])
    picture = scatter([("data", np.zeros((0, 2))), ("samples", one)])
    assert (picture == pictures.PALETTE[1]).all(axis=2).any()


@pytest.mark.parametrize(
    ("points", "error"),
    [(np.zeros((3, 3)), ShapeError), (np.zeros((0, 2)), ShapeError), (np.full((1, 2), np.nan), DataError)],
)
def test_scatter_refuses_what_is_not_points(points, error):
    with pytest.raises(error):
        scatter([("data", points)])


def test_what_has_a_picture():
    assert can_picture(DataShape.image(3, 8, 8))
    assert can_picture(DataShape.vector(2))
    assert not can_picture(DataShape.image(2, 8, 8))
    with pytest.raises(UsageError, match=r"no picture of data that is a vector 5.*\.npz"):
        require_picture(DataShape.vector(5))


def test_what_moves_shows_one_image_of_each_row_and_rests_at_its_end(tmp_path):
    rows = [("long", constant(0.0, 0.5, 1.0)), ("short", constant(0.2, 0.8))]
    pictures_ = moving_rows(rows)
    assert len(pictures_) == 3
    for number, picture in enumerate(pictures_):
        expected = labelled_rows([(label, images[[min(number, len(images) - 1)]]) for label, images in rows])
        np.testing.assert_array_equal(picture, expected)
    save_gif(tmp_path / "a.gif", pictures_, milliseconds=120)
    with Image.open(tmp_path / "a.gif") as moving:
        assert (moving.n_frames, moving.info["loop"], moving.info["duration"]) == (3, 0, 120)
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]


def test_png_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.png"
    pixels = grid(constant(0.2, 0.7, channels=3))
    save_png(path, pixels)
    with Image.open(path) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), pixels)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Exception, match="disk is full"):
        save_png(path, 255 - pixels)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
