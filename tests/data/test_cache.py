"""Tests of aerepr/data/cache.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerepr.data.cache import cache_directory


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AEREPR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_cache_is_found_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_directory() == tmp_path / ".cache" / "aerepr"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / ".cache" / "aerepr"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "aerepr"
    monkeypatch.setenv("AEREPR_CACHE", "~/own")
    assert cache_directory() == tmp_path / "own"
    assert not cache_directory().exists()
