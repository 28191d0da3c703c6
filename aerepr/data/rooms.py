"""Rooms: a floor, walls and one object under the six factors of 3D Shapes, drawn by ray casting in numpy.

A row is numbered in row-major order of `FACTOR_NAMES`, the last factor fastest. The three hues only tint surfaces, so
the geometry is the last three factors alone (480 cases) and an image is linear in the colours:

    x_BHWC = clip(sum_m maps_BMHW[:, m] * colours_BMC[:, m], 0, 1),   m in `MAP_NAMES`

The maps hold visibility, shading and anti-aliasing; they can be mixed on any device. The label values are those of the
3D Shapes files (Burgess & Kim 2018, deepmind/3d-shapes). Camera and lights of that set are unpublished; these were
fitted to its pictures by eye.

Shape letters: B rows, G geometry cases, M maps, H and W pixels, C colour channels, N rays.
World axes: x right, y away from the camera at orientation 0, z up; the object stands on the floor at the origin.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aerepr.atomic import write_aside

Floats = NDArray[np.float32]
Rows = NDArray[np.integer]

FACTOR_NAMES: tuple[str, ...] = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
FACTOR_SIZES: tuple[int, ...] = (10, 10, 10, 8, 4, 15)
FACTOR_VALUES: tuple[tuple[float, ...], ...] = (
    *(tuple(index / 10 for index in range(10)) for _ in range(3)),
    tuple(float(value) for value in np.linspace(0.75, 1.25, 8)),
    (0.0, 1.0, 2.0, 3.0),
    tuple(float(value) for value in np.linspace(-30.0, 30.0, 15)),
)
SHAPE_NAMES: tuple[str, ...] = ("cube", "cylinder", "sphere", "capsule")
ROWS: int = math.prod(FACTOR_SIZES)
GEOMETRIES: int = math.prod(FACTOR_SIZES[3:])
MAP_NAMES: tuple[str, ...] = ("floor", "wall", "object", "sky", "highlight")
MIN_SIZE, MAX_SIZE = 16, 128

_SKY = (0.60, 0.886, 0.976)
_HIGHLIGHT = (1.0, 1.0, 1.0)
# Part of the cache's file name: raise it whenever a picture would change.
_RENDERER_VERSION = 1
_SAMPLES_PER_SIDE = 4

# Pinhole camera on a circle round the object; lengths are about the sphere's diameter at scale 1.
_CAMERA_DISTANCE, _CAMERA_HEIGHT = 3.5, 1.19
_CAMERA_PITCH = math.radians(4.3)
_FOCAL = 1.207
_WALL_DISTANCE, _WALL_HEIGHT = 3.0, 1.95
_BACK_WALL, _RIGHT_WALL, _LEFT_WALL = 1.0, 0.66, 0.78
_SHADOW = 0.34
# Both point from a surface to its light, in room coordinates: light and room turn together when the camera moves.
_KEY_LIGHT = np.array((-0.45, -0.25, 0.86), np.float32) / np.linalg.norm((-0.45, -0.25, 0.86)).astype(np.float32)
# Half extents at scale 1: (radius or half edge, height).
_SHAPE_EXTENTS = ((0.47, 0.94), (0.46, 1.1), (0.52, 1.04), (0.39, 1.62))


def hue_colours() -> Floats:
    """The ten colours of the floor, wall and object, in the order of the hue's label.

    Returns:
        RGB in [0, 1] at full saturation and value, shape (10, 3).
    """
    hue = np.asarray(FACTOR_VALUES[0], np.float32)[:, None]
    # Each channel is a trapezium over the colour wheel, centred on its own primary.
    distance = np.abs((hue * 6 - np.array((0, 2, 4), np.float32) + 3) % 6 - 3)
    colours: Floats = np.clip(2 - distance, 0, 1).astype(np.float32)
    return colours


def row_colours(rows: Rows) -> Floats:
    """The colours to mix for each row, in the order of `MAP_NAMES`.

    Args:
        rows: row numbers in [0, ROWS), shape (B,).

    Returns:
        RGB in [0, 1], shape (B, M, 3).
    """
    hues = np.unravel_index(rows, FACTOR_SIZES)[:3]
    fixed = np.broadcast_to(np.array((_SKY, _HIGHLIGHT), np.float32), (len(rows), 2, 3))
    return np.concatenate((hue_colours()[np.stack(hues, axis=1)], fixed), axis=1)


def geometry_index(rows: Rows) -> Rows:
    """The geometry case of each row: scale, shape and orientation, the three factors that vary fastest."""
    return rows % GEOMETRIES


def mix(geometry: Floats, rows: Rows) -> NDArray[np.uint8]:
    """Images of some rows.

    Args:
        geometry: all mixing maps, shape (G, M, H, W).
        rows: row numbers in [0, ROWS), shape (B,).

    Returns:
        Images of shape (B, H, W, 3).
    """
    size = geometry.shape[-1]
    maps = geometry[geometry_index(rows)].reshape(len(rows), len(MAP_NAMES), size * size)
    pixels = np.matmul(row_colours(rows).transpose(0, 2, 1), maps)
    np.clip(pixels, 0, 1, out=pixels)
    pixels *= 255
    np.rint(pixels, out=pixels)
    return np.ascontiguousarray(pixels.astype(np.uint8).transpose(0, 2, 1)).reshape(len(rows), size, size, 3)


def render_geometry(size: int, cases: Sequence[int] | None = None) -> Floats:
    """Mixing maps of the geometry cases.

    Args:
        size: image height and width in pixels, 16 to 128.
        cases: geometry indices to draw; all of them by default.

    Returns:
        Maps in the order of `MAP_NAMES`, shape (G, M, size, size), each in [0, 1].

    Raises:
        ValueError: the size is out of range.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"rooms are drawn from {MIN_SIZE} to {MAX_SIZE} pixels a side, got {size}")
    cases = range(GEOMETRIES) if cases is None else cases
    geometry = np.empty((len(cases), len(MAP_NAMES), size, size), np.float32)
    views: dict[int, _View] = {}
    for place, case in enumerate(cases):
        scale, shape, orientation = np.unravel_index(case, FACTOR_SIZES[3:])
        if orientation not in views:
            views[int(orientation)] = _View(size, FACTOR_VALUES[5][orientation])
        geometry[place] = views[int(orientation)].draw(_Solid(int(shape), FACTOR_VALUES[3][scale]))
    return geometry


def geometry_cached(size: int, cache: Path) -> Floats:
    """All mixing maps of one size, drawn once and kept in a folder.

    Args:
        size: image height and width in pixels, 16 to 128.
        cache: folder of the file; created when missing. A file that cannot be read back whole is drawn again.

    Returns:
        Maps of shape (480, M, size, size).
    """
    # An npz member carries a checksum that numpy verifies on reading, which a bare npy file does not.
    path = cache / f"rooms-{size}-v{_RENDERER_VERSION}.npz"
    try:
        # Opened here because numpy leaves a file it cannot parse open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            geometry: Floats = stored["geometry"]
        if geometry.shape == (GEOMETRIES, len(MAP_NAMES), size, size) and geometry.dtype == np.float32:
            return geometry
    except (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile):
        pass
    geometry = render_geometry(size)
    with write_aside(path) as aside:
        np.savez(aside, geometry=geometry)
    return geometry


class _Solid:
    """One convex object on the floor at the origin, met by rays in closed form."""

    def __init__(self, shape: int, scale: float) -> None:
        radius, height = _SHAPE_EXTENTS[shape]
        self.kind = SHAPE_NAMES[shape]
        self.radius = radius * scale
        self.height = height * scale

    @property
    def reach(self) -> float:
        """Distance from the origin within which the whole object lies."""
        return math.hypot(self.radius * math.sqrt(2), self.height)

    def near_axis(self, origins_N3: Floats, directions_N3: Floats) -> NDArray[np.bool_]:
        """Whether each ray's line passes through the ball round the object: a cheap first test."""
        centre = np.array((0, 0, self.height / 2), np.float32)
        ball = math.hypot(self.radius * math.sqrt(2), self.height / 2)
        offset = centre - origins_N3
        along = (offset * directions_N3).sum(axis=1, keepdims=True)
        near: NDArray[np.bool_] = ((offset - along * directions_N3) ** 2).sum(axis=1) <= ball**2
        return near

    def enter(self, origins_N3: Floats, directions_N3: Floats) -> Floats:
        """Distance along each unit ray to the surface; infinite where it misses."""
        if self.kind == "cube":
            sides = [_slab(origins_N3[:, a], directions_N3[:, a], -self.radius, self.radius) for a in (0, 1)]
            return _overlap(*sides, _slab(origins_N3[:, 2], directions_N3[:, 2], 0, self.height))
        if self.kind == "cylinder":
            caps = _slab(origins_N3[:, 2], directions_N3[:, 2], 0, self.height)
            return _overlap(_quadric(origins_N3, directions_N3, self.radius, axes=2), caps)
        # A sphere is the capsule whose straight part has no length.
        low, high = self.radius, self.height - self.radius
        tube = _slab(origins_N3[:, 2], directions_N3[:, 2], low, high)
        entries = [_overlap(_quadric(origins_N3, directions_N3, self.radius, axes=2), tube)]
        for centre in (low, high):
            shifted = origins_N3 - np.array((0, 0, centre), np.float32)
            entries.append(_overlap(_quadric(shifted, directions_N3, self.radius, axes=3)))
        first: Floats = np.minimum.reduce(entries)
        return first

    def normals(self, points_N3: Floats) -> Floats:
        """Outward unit normals at points of the surface."""
        if self.kind == "cube":
            centred = points_N3 - np.array((0, 0, self.height / 2), np.float32)
            face = np.abs(centred).argmax(axis=1)[:, None] == np.arange(3)
            return np.where(face, np.sign(centred), np.float32(0))
        if self.kind == "cylinder":
            top = points_N3[:, 2:] > self.height * (1 - 1e-4)
            radial = points_N3 * np.array((1, 1, 0), np.float32) / np.float32(self.radius)
            return np.where(top, np.array((0, 0, 1), np.float32), radial)
        spine = np.zeros_like(points_N3)
        spine[:, 2] = points_N3[:, 2].clip(self.radius, self.height - self.radius)
        return (points_N3 - spine) / np.float32(self.radius)


class _View:
    """The empty room from one camera position, at several samples a pixel; objects are drawn into it."""

    def __init__(self, size: int, orientation: float) -> None:
        self.size = size
        self.eye, self.rays = _camera_rays(size, math.radians(orientation))
        self.empty, self.floor_points = self._empty_room()

    def _empty_room(self) -> tuple[Floats, Floats]:
        """Maps of the room without object, shape (M, N), and where each ray meets the floor (NaN if it does not)."""
        maps = np.zeros((len(MAP_NAMES), len(self.rays)), np.float32)
        to_floor = _reach(self.eye[2], -self.rays[:, 2])
        to_walls = np.stack(
            (
                _reach(_WALL_DISTANCE - self.eye[1], self.rays[:, 1]),
                _reach(_WALL_DISTANCE - self.eye[0], self.rays[:, 0]),
                _reach(_WALL_DISTANCE + self.eye[0], -self.rays[:, 0]),
            )
        )
        wall = np.argmin(to_walls, axis=0)
        to_wall = np.min(to_walls, axis=0)
        height = self.eye[2] + np.where(np.isfinite(to_wall), to_wall, 0) * self.rays[:, 2]
        is_floor = to_floor < to_wall
        is_wall = ~is_floor & np.isfinite(to_wall) & (height < _WALL_HEIGHT)
        maps[MAP_NAMES.index("sky")] = ~is_floor & ~is_wall
        # Walls fade a little towards the floor, which seats them on it.
        shade = np.array((_BACK_WALL, _RIGHT_WALL, _LEFT_WALL), np.float32)[wall] * (0.9 + 0.1 * height / _WALL_HEIGHT)
        maps[MAP_NAMES.index("wall")] = np.where(is_wall, shade, 0)
        points = np.full_like(self.rays, np.nan)
        points[is_floor] = self.eye + to_floor[is_floor, None] * self.rays[is_floor]
        # The key light makes a pool on the floor, left of the object and towards the camera.
        pool = np.exp(-((points[is_floor, 0] + 0.8) ** 2 + (points[is_floor, 1] + 1.2) ** 2) / 14)
        maps[MAP_NAMES.index("floor"), is_floor] = 0.6 + 0.4 * pool
        return maps, points

    def draw(self, solid: _Solid) -> Floats:
        """Maps of the room with an object in it, shape (M, H, W)."""
        floor, target, highlight = (MAP_NAMES.index(name) for name in ("floor", "object", "highlight"))
        maps = self.empty.copy()
        # A shadow reaches no further than the object's height times the light's slope.
        slope = float(np.hypot(_KEY_LIGHT[0], _KEY_LIGHT[1]) / _KEY_LIGHT[2])
        reach = solid.reach + solid.height * slope
        near = np.flatnonzero((self.floor_points**2).sum(axis=1) < reach**2)
        towards_light = np.broadcast_to(_KEY_LIGHT, (len(near), 3))
        maps[floor, near[np.isfinite(solid.enter(self.floor_points[near], towards_light))]] *= _SHADOW

        candidates = np.flatnonzero(solid.near_axis(self.eye, self.rays))
        rays = self.rays[candidates]
        distance = solid.enter(np.broadcast_to(self.eye, rays.shape), rays)
        hit = np.isfinite(distance)
        seen, rays, distance = candidates[hit], rays[hit], distance[hit]
        points = self.eye + distance[:, None] * rays
        normals = solid.normals(points)
        lit = np.clip(normals @ _KEY_LIGHT, 0, None)
        facing = np.clip(-(normals * rays).sum(axis=1), 0, None)
        halfway = _KEY_LIGHT - rays
        halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
        gloss = 0.3 * np.clip((normals * halfway).sum(axis=1), 0, None) ** 16
        maps[:, seen] = 0
        # Colour and gloss add up to at most 1: clipping would bend the linear mix.
        maps[target, seen] = np.minimum(0.32 + 0.4 * lit + 0.5 * facing, 1) * (1 - gloss)
        maps[highlight, seen] = gloss
        side, samples = self.size, _SAMPLES_PER_SIDE
        averaged: Floats = maps.reshape(len(maps), side, samples, side, samples).mean(axis=(2, 4))
        return averaged


def _camera_rays(size: int, turn: float) -> tuple[Floats, Floats]:
    """Eye position (3,) and unit ray directions (N, 3), row by row, of a camera that went round by `turn` radians."""
    steps = (np.arange(size * _SAMPLES_PER_SIDE) + 0.5) / (size * _SAMPLES_PER_SIDE) - 0.5
    up, across = np.meshgrid(-steps, steps, indexing="ij")
    forward = _FOCAL * math.cos(_CAMERA_PITCH) + up * math.sin(_CAMERA_PITCH)
    rise = up * math.cos(_CAMERA_PITCH) - _FOCAL * math.sin(_CAMERA_PITCH)
    cosine, sine = math.cos(turn), math.sin(turn)
    rays = np.stack((across * cosine - forward * sine, across * sine + forward * cosine, rise), axis=-1).reshape(-1, 3)
    eye = np.array((_CAMERA_DISTANCE * sine, -_CAMERA_DISTANCE * cosine, _CAMERA_HEIGHT), np.float32)
    return eye, (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)


def _reach(gap: np.floating, speed: Floats) -> Floats:
    """Distance along each ray to a plane `gap` away, approached at `speed` per unit; infinite when it recedes."""
    return np.where(speed > 0, gap / np.maximum(speed, np.float32(1e-9)), np.float32(np.inf))


def _slab(origin: Floats, direction: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Distances at which rays enter and leave the space between two planes across one axis."""
    # A ray along the planes gets huge distances of the right sign; the tiny number keeps 0/0 out.
    inverse = 1 / np.where(np.abs(direction) < 1e-9, np.float32(1e-9), direction)
    first, second = (low - origin) * inverse, (high - origin) * inverse
    return np.minimum(first, second), np.maximum(first, second)


def _quadric(origins_N3: Floats, directions_N3: Floats, radius: float, axes: int) -> tuple[Floats, Floats]:
    """Distances at which rays enter and leave a ball (3 axes) or an endless upright cylinder (2 axes)."""
    origins, directions = origins_N3[:, :axes], directions_N3[:, :axes]
    a = (directions**2).sum(axis=1)
    b = (origins * directions).sum(axis=1)
    c = (origins**2).sum(axis=1) - radius**2
    root = b**2 - a * c
    with np.errstate(invalid="ignore"):
        half = np.sqrt(root)
    miss = root < 0
    return np.where(miss, np.inf, (-b - half) / a), np.where(miss, -np.inf, (-b + half) / a)


def _overlap(*spans: tuple[Floats, Floats]) -> Floats:
    """Entry into the intersection of convex sets that lie in front of the ray or contain its start."""
    enter = np.maximum.reduce([span[0] for span in spans])
    leave = np.minimum.reduce([span[1] for span in spans])
    return np.where((enter <= leave) & (leave > 0), np.maximum(enter, 0), np.inf)
