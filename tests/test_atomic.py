"""Tests of aerepr/atomic.py."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aerepr.atomic import folder_aside, remove_leftovers, write_aside
from aerepr.errors import AereprError


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npz"
    with write_aside(path) as aside:
        assert aside.parent == path.parent
        assert aside.suffix == ".npz"
        np.savez(aside, x=np.arange(3))
        assert not path.exists()
    assert np.load(path)["x"].tolist() == [0, 1, 2]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path: Path, kind: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half() -> None:
        with write_aside(path) as aside:
            aside.write_text("half")
            raise kind

    with pytest.raises(kind):
        write_half()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_success_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with write_aside(path) as aside:
        aside.write_text("new")
    assert path.read_text() == "new"


def test_two_writers_do_not_share_a_name(tmp_path: Path) -> None:
    with write_aside(tmp_path / "a") as first, write_aside(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a").read_text() == "1"


def test_the_file_reaches_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: calls.append("fsync"))
    monkeypatch.setattr("os.replace", lambda source, target: calls.append("replace"))
    with write_aside(tmp_path / "a") as aside:
        aside.write_text("x")
    assert calls == ["fsync", "replace", "fsync"]


def test_a_body_that_writes_nothing_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_aside(tmp_path / "a"):
        pass
    assert not (tmp_path / "a").exists()


def test_a_folder_appears_when_it_is_complete_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "product"
    for text in ("old", "new"):
        with folder_aside(path) as aside:
            (aside / "a.txt").write_text(text)
            assert not path.exists() or (path / "a.txt").read_text() == "old"
        assert (path / "a.txt").read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["product"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "product"
    with folder_aside(path) as aside:
        (aside / "a.txt").write_text("old")

    def fail() -> None:
        with folder_aside(path) as aside:
            (aside / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (path / "a.txt").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["product"]


def test_ctrl_c_between_the_two_renames_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "product"
    path.mkdir()
    (path / "a.txt").write_text("old")
    rename, calls = os.rename, [0]

    def interrupted(source: Path, target: Path) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), folder_aside(path) as aside:
        (aside / "a.txt").write_text("new")
    assert (path / "a.txt").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["product"]


# A writer that is killed between the two renames.
KILLED = """
import os, signal, sys
from pathlib import Path
from aerepr.atomic import folder_aside
rename = os.rename
def killed(source, target):
    if str(target) == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.rename = killed
with folder_aside(Path(sys.argv[1])) as aside:
    (aside / "a.txt").write_text("new")
"""


def test_what_a_killed_writer_was_replacing_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "product"
    path.mkdir()
    (path / "a.txt").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    remove_leftovers(tmp_path / "*")
    assert (path / "a.txt").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["product"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".0123abcd.part.product"
    left.mkdir()
    (left / "half").write_text("x")
    other = tmp_path / ".0123abcd.part.another"
    other.mkdir()
    with folder_aside(tmp_path / "product"):
        pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".0123abcd.part.another", "product"]


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EFBIG, "cannot be written")])
def test_the_disk_is_told_as_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(AereprError, match=said), write_aside(path) as aside:
        aside.write_text("new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
