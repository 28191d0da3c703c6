"""Which run is meant, and what its marker says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aerepr.errors import RunDirectoryError
from aerepr.rundir import layout
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec

STAMPS = ("20260101T000000Z", "20260102T000000Z")


@pytest.fixture
def spec() -> RunSpec:
    return spec_from_tables({"name": "a", "model": {"recipe": "VAE"}, "data": {"name": "rooms"}, "train": {"steps": 1}})


def made(path: Path, written: int) -> RunDirectory:
    """A run directory whose spec was written at a time."""
    path.mkdir(parents=True)
    (path / "spec.resolved.json").write_text("{}")
    os.utime(path / "spec.resolved.json", (written, written))
    return RunDirectory(path)


def test_only_the_last_marker_is_left(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for state in ("failed", "interrupted", "done", "failed"):
        run.mark(state)
        assert run.state == state
        assert len(list(tmp_path.iterdir())) == 1
    run.mark("running")
    assert run.state == "running"
    assert not list(tmp_path.iterdir())


def test_the_newest_is_that_of_the_latest_stamp_then_the_latest_spec(tmp_path: Path) -> None:
    # Neither the order of names nor that of writing alone gives this one.
    late = made(tmp_path / "a" / f"{STAMPS[1]}-00000000", 10)
    first = made(tmp_path / "b" / f"{STAMPS[0]}-00000000", 30)
    same = made(tmp_path / "a" / f"{STAMPS[0]}-ffffffff", 20)
    assert [run.path for run in layout.listing(tmp_path)] == [same.path, first.path, late.path]
    assert layout.find(tmp_path).path == late.path
    assert layout.find(tmp_path, "b").path == first.path
    with pytest.raises(RunDirectoryError, match="no run named"):
        layout.find(tmp_path, "c")


def test_what_a_run_left_that_was_killed_as_it_began_can_be_replaced(tmp_path: Path, spec: RunSpec) -> None:
    for number, names in enumerate([("env.json",), ("env.json", ".1a.part.spec.toml"), ("env.json", "spec.toml")]):
        path = tmp_path / str(number)
        path.mkdir()
        for name in names:
            (path / name).write_text("{}")
        with pytest.raises(
            RunDirectoryError, match="a run was killed there before it began: replace it with --overwrite"
        ):
            layout.create(tmp_path, spec, path)
        assert {item.name for item in path.iterdir()} == set(names)
        layout.create(tmp_path, spec, path, overwrite=True)
        assert not list(path.iterdir())
    # A user's own folder is another matter.
    for number, names in enumerate([("spec.toml",), ("env.json", "spec.toml", "thesis.tex")]):
        path = tmp_path / f"own{number}"
        path.mkdir()
        for name in names:
            (path / name).write_text("mine")
        with pytest.raises(RunDirectoryError, match="not a run directory, so --overwrite leaves it alone"):
            layout.create(tmp_path, spec, path, overwrite=True)
        assert {item.name for item in path.iterdir()} == set(names)


def test_an_unfinished_run_is_of_exactly_this_spec_and_not_done(tmp_path: Path, spec: RunSpec) -> None:
    assert layout.unfinished(tmp_path, spec) is None
    own = made(tmp_path / "a" / f"{STAMPS[0]}-{spec.hash()[:8]}", 1)
    made(tmp_path / "a" / f"{STAMPS[1]}-00000000", 2)
    found = layout.unfinished(tmp_path, spec)
    assert found is not None
    assert found.path == own.path
    own.mark("done")
    assert layout.unfinished(tmp_path, spec) is None
