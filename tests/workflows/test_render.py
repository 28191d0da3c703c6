"""`aerepr data render`: what is written is what the data set gives, with its factors."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from aerepr.data import rooms
from aerepr.data.cache import cache_directory
from aerepr.errors import SpecError, UnknownComponent, UsageError
from aerepr.workflows.data import render


def test_drawn_examples_and_their_factors_are_written(tmp_path: Path) -> None:
    told = render("rooms", tmp_path / "a.npz", n=40, seed=3, sets=["size=16"])
    assert told == {"name": "rooms", "out": str(tmp_path / "a.npz"), "n": 40, "of": 480_000}
    with np.load(tmp_path / "a.npz") as found:
        rows = found["rows"]
        assert len(np.unique(rows)) == 40
        drawn = rooms.mix(rooms.geometry_cached(16, cache_directory()), rows)
        assert np.abs(found["images"].astype(int) - drawn).max() <= 1
        assert np.array_equal(found["factors"], np.stack(np.unravel_index(rows, rooms.FACTOR_SIZES), axis=1))
        assert tuple(found["factor_names"]) == rooms.FACTOR_NAMES
        images = found["images"]
    render("rooms", tmp_path / "a.h5", n=40, seed=3, sets=["size=16"])
    with h5py.File(tmp_path / "a.h5") as archive:
        assert np.array_equal(archive["images"][:], images)
    render("sprites", tmp_path / "a.png", n=9, sets=["size=16"])
    assert np.asarray(Image.open(tmp_path / "a.png")).std() > 10


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownComponent, match='did you mean "rooms"'):
        render("room", tmp_path / "a.npz")
    with pytest.raises(UsageError, match="npz"):
        render("rooms", tmp_path / "a.jpg")
    with pytest.raises(SpecError, match="size"):
        render("rooms", tmp_path / "a.npz", sets=["size=4"])
    assert list(tmp_path.iterdir()) == []
