"""Tests of aerepr/data/lookup.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerepr.data.lookup import existing_file, missing_key, suggestion
from aerepr.errors import DataError


def test_a_file_that_is_there_is_returned_as_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"x")
    assert existing_file(str(tmp_path / "a.npy")) == tmp_path / "a.npy"


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "images.npz").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r'image\.npz: found no such file \(did you mean "images\.npz"\?\), expected one'
    ):
        existing_file(tmp_path / "image.npz")


def test_a_missing_folder_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.npy: found no folder .*nowhere, expected"):
        existing_file(tmp_path / "nowhere" / "a.npy")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found a folder, expected a file"):
        existing_file(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    with pytest.raises(DataError, match=r"a\.npy: found an empty file \(0 bytes\), expected data"):
        existing_file(tmp_path / "a.npy")


def test_a_path_that_cannot_be_looked_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found a file that cannot be looked at"):
        existing_file(tmp_path / ("x" * 300))


def test_a_missing_key_lists_those_there_are() -> None:
    assert str(missing_key("a.npz", "image", ["labels", "images"])) == (
        'a.npz: found no key "image" (did you mean "images"?), expected one of: images, labels'
    )
    assert "expected one of: (no keys)" in str(missing_key("a.npz", "image", []))
    assert str(missing_key("a.npz", "x", [f"key{i:03}" for i in range(50)])).endswith("key019 and 30 more")


def test_a_far_name_gets_no_suggestion() -> None:
    assert suggestion("labels", ["imgs"]) == ""


def test_a_link_to_nothing_is_not_suggested_for_itself(tmp_path: Path) -> None:
    (tmp_path / "codes.npy").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"codes\.npy: found no such file, expected one"):
        existing_file(tmp_path / "codes.npy")
