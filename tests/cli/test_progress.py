"""What is said of work that takes long."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from aerepr.cli.progress import Work, watch
from tests.builtin.datasets.published_files import small_files


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(work: Work) -> None:
    for done in range(0, 1001):
        work("decoding a", done, 1000)


def test_lines_come_by_tenths(capsys: pytest.CaptureFixture[str]) -> None:
    told(Work())
    assert capsys.readouterr().err.splitlines() == [f"decoding a: {percent}%" for percent in range(0, 101, 10)]


def test_one_line_counts_up_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    told(Work())
    assert terminal.getvalue().startswith("\rdecoding a: 0%\rdecoding a: 1%\r")
    assert terminal.getvalue().endswith("\rdecoding a: 100%\n")


def test_training_tells_of_it_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with watch() as watcher:
        watcher.work("decoding a", 5, 10)
    assert capsys.readouterr().err == "decoding a: 50%\n"
    with watch(speaks=False) as watcher:
        watcher.work("decoding a", 5, 10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with watch() as watcher:
        watcher.work("decoding a", 5, 10)
        watcher.work("decoding a", 10, 10)
    assert "decoding a" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_looking_at_a_file_that_has_to_be_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aerepr: Callable[..., Result]
) -> None:
    small_files(tmp_path)
    monkeypatch.setenv("AEREPR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AEREPR_DATA", str(tmp_path))
    command = ["data", "inspect", "shapes3d", "--set", "subset_file=true", "--set", "memory=mapped", "--json"]
    first, second = aerepr(*command), aerepr(*command)
    assert json.loads(first.stdout)["rows"] == json.loads(second.stdout)["rows"] == 30
    assert first.stderr.endswith("decoding 3dshapes.h5[images]: 100%\n")
    assert second.stderr == ""
