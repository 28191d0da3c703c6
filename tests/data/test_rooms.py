"""Rooms: factor order, what each factor may change, the colour mix, anti-aliasing and the cache."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aerepr.data import rooms
from aerepr.data.hdf5 import read_hdf5
from aerepr.data.rooms import FACTOR_NAMES, FACTOR_SIZES, FACTOR_VALUES, MAP_NAMES, Floats

FLOOR, WALL, OBJECT, SKY, HIGHLIGHT = range(len(MAP_NAMES))


@pytest.fixture(scope="module")
def geometry() -> Floats:
    """All 480 cases at the smallest size."""
    return rooms.render_geometry(16)


def row(**factors: int) -> int:
    """Row number of some class indices, the other factors at 0."""
    return int(np.ravel_multi_index([factors.get(name, 0) for name in FACTOR_NAMES], FACTOR_SIZES))


def picture(geometry: Floats, **factors: int) -> NDArray[np.int64]:
    """One image, in a type whose differences do not wrap round."""
    image: NDArray[np.int64] = rooms.mix(geometry, np.array([row(**factors)]))[0].astype(np.int64)
    return image


def changed(geometry: Floats, name: str, at: dict[str, int], value: int) -> NDArray[np.bool_]:
    """Where the picture changes when one factor does, shape (H, W)."""
    different: NDArray[np.bool_] = (picture(geometry, **at) != picture(geometry, **{**at, name: value})).any(axis=-1)
    return different


def test_factors_are_those_of_3d_shapes() -> None:
    assert FACTOR_NAMES == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert FACTOR_SIZES == tuple(len(values) for values in FACTOR_VALUES) == (10, 10, 10, 8, 4, 15)
    assert rooms.ROWS == math.prod(FACTOR_SIZES) == 480_000
    assert FACTOR_VALUES[0] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert (FACTOR_VALUES[3][0], FACTOR_VALUES[3][-1]) == (0.75, 1.25)
    assert (FACTOR_VALUES[5][0], FACTOR_VALUES[5][7], FACTOR_VALUES[5][-1]) == (-30.0, 0.0, 30.0)


def test_last_factor_varies_fastest() -> None:
    assert row(orientation=1) == 1
    assert row(shape=1) == 15
    assert row(scale=1) == 60
    assert row(object_hue=1) == 480
    assert row(floor_hue=9, wall_hue=9, object_hue=9, scale=7, shape=3, orientation=14) == rooms.ROWS - 1
    assert rooms.geometry_index(np.array([row(wall_hue=3, scale=2, shape=1, orientation=4)])) == [2 * 60 + 15 + 4]


def test_hues_go_round_the_colour_wheel() -> None:
    colours = rooms.hue_colours()
    assert colours.shape == (10, 3)
    assert colours.dtype == np.float32
    np.testing.assert_allclose(colours[[0, 3, 5, 9]], [(1, 0, 0), (0.2, 1, 0), (0, 1, 1), (1, 0, 0.6)], atol=1e-6)


@pytest.mark.parametrize(("name", "own"), [("floor_hue", FLOOR), ("wall_hue", WALL), ("object_hue", OBJECT)])
def test_a_hue_changes_its_own_surface_only(geometry: Floats, name: str, own: int) -> None:
    at = {"scale": 4, "shape": 1, "orientation": 3}
    surface = geometry[row(**at), own]
    difference = changed(geometry, name, at, value=5)
    assert not difference[surface == 0].any()
    assert difference[surface > 0.05].all()


@pytest.mark.parametrize(("name", "value"), [("scale", 7), ("shape", 2)])
def test_scale_and_shape_leave_walls_away_from_the_object_alone(geometry: Floats, name: str, value: int) -> None:
    difference = changed(geometry, name, {"floor_hue": 2, "wall_hue": 5}, value)
    assert difference.any()
    assert not difference[:, :3].any()
    assert not difference[:2].any()


def test_orientation_moves_the_walls(geometry: Floats) -> None:
    left, ahead, right = (geometry[row(shape=2, orientation=turn), WALL] for turn in (0, 7, 14))
    assert np.abs(left - ahead)[:, -3:].max() > 0.2
    assert np.abs(right - ahead)[:, :3].max() > 0.15


def test_larger_scales_cover_more_of_the_picture(geometry: Floats) -> None:
    for shape in range(FACTOR_SIZES[4]):
        areas = [float(geometry[row(scale=s, shape=shape, orientation=7), [OBJECT, HIGHLIGHT]].sum()) for s in range(8)]
        assert areas == sorted(areas)
        assert 0.03 < areas[0] / 16**2 < areas[-1] / 16**2 < 0.3


def covered(images: NDArray[np.uint8], hues: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of each picture (N, H, W, 3) whose colour is of a hue in [0, 1), by the hue of every pixel."""
    pixels = images.astype(np.float64) / 255
    high, low = pixels.max(axis=-1), pixels.min(axis=-1)
    span = np.where(high > low, high - low, 1)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    sixths = np.where(
        high == red, (green - blue) / span, np.where(high == green, 2 + (blue - red) / span, 4 + (red - green) / span)
    )
    away = np.abs(sixths / 6 - hues[:, None, None])
    shown = (np.minimum(away % 1, 1 - away % 1) < 0.04) & (high - low > 0.25 * high)
    share: NDArray[np.float64] = shown.mean(axis=(1, 2))
    return share


def test_objects_are_as_large_as_in_real_3d_shapes(real_data: Path) -> None:
    path = real_data / "shapes3d" / "3dshapes_subset.h5"
    images, labels = read_hdf5(path, "images"), read_hdf5(path, "labels")
    # Objects of another hue than all around them; 0.5 is that of the sky.
    apart = [index for index, (floor, wall, own, *_) in enumerate(labels) if own not in (floor, wall, 0.5)]
    theirs = covered(images[apart], labels[apart, 2])
    assert len(theirs) > 15
    # One hue, under every scale and shape, seen from the front. Shares are those of any size.
    ours, at_32 = [], rooms.render_geometry(32)
    for scale in range(FACTOR_SIZES[3]):
        for shape in range(FACTOR_SIZES[4]):
            rows = np.array([row(floor_hue=2, wall_hue=5, object_hue=8, scale=scale, shape=shape, orientation=7)])
            ours.append(covered(rooms.mix(at_32, rows), np.array([0.8]))[0])
    assert min(ours) == pytest.approx(theirs.min(), abs=0.03)
    assert max(ours) == pytest.approx(theirs.max(), abs=0.03)


def test_all_geometries_differ(geometry: Floats) -> None:
    assert len(np.unique(np.rint(geometry.reshape(len(geometry), -1) * 255), axis=0)) == rooms.GEOMETRIES


def test_drawing_is_deterministic_and_independent_of_the_other_cases(geometry: Floats) -> None:
    np.testing.assert_array_equal(rooms.render_geometry(16, [77, 300]), geometry[[77, 300]])


def test_maps_cover_every_pixel_without_clipping(geometry: Floats) -> None:
    assert geometry.min() >= 0
    assert geometry.sum(axis=1).max() <= 1 + 1e-5
    assert geometry.sum(axis=1).min() > 0.1


def test_edges_are_anti_aliased() -> None:
    sky = rooms.render_geometry(24, [row(orientation=0)])[0, SKY]
    assert ((sky > 0.01) & (sky < 0.99)).sum() >= 12


def test_the_object_casts_a_shadow_on_the_floor(geometry: Floats) -> None:
    floor = geometry[row(scale=7, shape=2, orientation=7), FLOOR]
    assert floor[12:].min() < 0.5 * floor[-1, 0]


def test_mix_is_linear_in_the_colours(geometry: Floats) -> None:
    rows = np.array([row(floor_hue=3, wall_hue=6, object_hue=8, scale=5, shape=3, orientation=11), rooms.ROWS - 1])
    maps, colours = geometry[rooms.geometry_index(rows)], rooms.row_colours(rows)
    expected = np.rint(np.clip(np.einsum("bmhw,bmc->bhwc", maps, colours), 0, 1) * 255)
    images = rooms.mix(geometry, rows)
    assert images.dtype == np.uint8
    # One level apart at most: the two sums are taken in different orders.
    assert np.abs(images.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [16, 128])
def test_extreme_sizes(size: int) -> None:
    assert rooms.render_geometry(size, [5]).shape == (1, len(MAP_NAMES), size, size)


@pytest.mark.parametrize("size", [15, 129])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 to 128"):
        rooms.render_geometry(size, [0])


def test_sizes_show_the_same_scene() -> None:
    small, large = (rooms.render_geometry(size, [200])[0] for size in (16, 64))
    assert np.abs(large.reshape(-1, 16, 4, 16, 4).mean(axis=(2, 4)) - small).mean() < 0.005


def test_cache_is_reused_and_damage_is_repaired(
    geometry: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def draw(size: int) -> Floats:
        drawn.append(size)
        return geometry

    monkeypatch.setattr(rooms, "render_geometry", draw)
    np.testing.assert_array_equal(rooms.geometry_cached(16, tmp_path / "cache"), geometry)
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    np.testing.assert_array_equal(rooms.geometry_cached(16, tmp_path / "cache"), geometry)
    assert len(drawn) == 1

    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 0xFF
    with path.with_name("other.npz").open("wb") as file:
        np.savez(file, geometry=geometry[:3])
    wrong_shape = path.with_name("other.npz").read_bytes()
    for count, damaged in enumerate(
        (whole[: len(whole) // 2], b"", b"no archive", bytes(flipped), wrong_shape), start=2
    ):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(rooms.geometry_cached(16, tmp_path / "cache"), geometry)
        assert len(drawn) == count
        assert path.read_bytes() == whole
