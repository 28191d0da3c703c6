"""Downloads from a real server in this process: whole, broken off, resumed, wrong, and from nowhere."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aerepr.data.download import download, file_hash
from aerepr.errors import DataError, MissingExtra
from tests.data.serving import Server, closed_port, serving

CONTENT = np.random.Generator(np.random.PCG64(0)).bytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Heard:
    """What a user is told."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int, int | None]] = []
        self.arrived = 0
        self.messages: list[str] = []

    def start(self, name: str, done: int, total: int | None) -> None:
        self.starts.append((name, done, total))

    def advance(self, count: int) -> None:
        self.arrived += count

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.files["images.npz"] = CONTENT
        yield found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("known_hash", [SHA256, f"md5:{hashlib.md5(CONTENT).hexdigest()}", ""])
def test_a_whole_file(tmp_path: Path, server: Server, known_hash: str) -> None:
    heard = Heard()
    target = tmp_path / "set" / "images.npz"
    download(target, [f"{server.url}/images.npz"], heard, len(CONTENT), known_hash)
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == {"images.npz"}
    assert heard.starts == [("images.npz", 0, len(CONTENT))]
    assert heard.arrived == server.sent == len(CONTENT)


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path, server: Server) -> None:
    server.stop_after = [100_000, 50_000]
    heard = Heard()
    download(tmp_path / "images.npz", [f"{server.url}/images.npz"], heard, len(CONTENT), SHA256)
    assert (tmp_path / "images.npz").read_bytes() == CONTENT
    assert [done for _, done, _ in heard.starts] == [0, 99_999, 149_998]
    # One byte is sent twice at each break, and no more.
    assert server.sent == len(CONTENT) + 2


def test_a_killed_process_is_resumed_by_the_next(tmp_path: Path, server: Server) -> None:
    """Killed outright, with most of a slow file on disk: the next process asks for the rest alone."""
    server.files["images.npz"] = CONTENT * 200
    code = (
        "import sys; from pathlib import Path; from aerepr.data.download import download; "
        "from tests.data.test_download import Heard, Slow; "
        "download(Path(sys.argv[1]), [sys.argv[2]], Slow(), None, '')"
    )
    target = tmp_path / "images.npz"
    process = subprocess.Popen([sys.executable, "-c", code, str(target), f"{server.url}/images.npz"])
    partial = tmp_path / ".images.npz.partial" / "partial"
    try:
        for _ in range(600):
            if partial.exists() and partial.stat().st_size > 1 << 20:
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    here = partial.stat().st_size
    assert 1 << 20 < here < len(CONTENT) * 200
    assert not target.exists()
    heard = Heard()
    server.sent = 0
    download(target, [f"{server.url}/images.npz"], heard, None, "")
    assert heard.starts == [("images.npz", here - 1, len(CONTENT) * 200)]
    assert server.sent == len(CONTENT) * 200 - here + 1
    assert target.read_bytes() == CONTENT * 200
    assert names(tmp_path) == {"images.npz"}


class Slow(Heard):
    """Leaves time to be killed in."""

    def advance(self, count: int) -> None:
        time.sleep(0.05)


def part_of(server: Server, folder: Path) -> None:
    """Leave a part of the file behind."""
    server.stop_after = [100_000, 0]
    with pytest.raises(DataError):
        download(folder / "images.npz", [f"{server.url}/images.npz"], Heard(), None, "")
    assert names(folder) == {".images.npz.partial"}
    assert names(folder / ".images.npz.partial") == {"partial", "mark"}


def test_a_part_of_an_older_version_is_not_continued(tmp_path: Path, server: Server) -> None:
    part_of(server, tmp_path)
    server.files["images.npz"] = CONTENT[::-1]
    download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), None, "")
    assert (tmp_path / "images.npz").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_sends_all_again(tmp_path: Path, server: Server) -> None:
    part_of(server, tmp_path)
    server.ranges = False
    download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), len(CONTENT), SHA256)
    assert (tmp_path / "images.npz").read_bytes() == CONTENT


def test_a_part_that_is_all_of_the_file(tmp_path: Path, server: Server) -> None:
    part_of(server, tmp_path)
    (tmp_path / ".images.npz.partial" / "partial").write_bytes(CONTENT)
    server.sent = 0
    download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), len(CONTENT), SHA256)
    assert (tmp_path / "images.npz").read_bytes() == CONTENT
    assert server.sent == 1


def test_what_a_killed_process_left_is_not_taken_for_the_file(tmp_path: Path, server: Server) -> None:
    (tmp_path / ".images.npz.partial").mkdir()
    (tmp_path / ".images.npz.partial" / "whole").write_bytes(b"of another day")
    download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), None, "")
    assert (tmp_path / "images.npz").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_left(tmp_path: Path, server: Server) -> None:
    wrong = f"sha256:{'0' * 64}"
    with pytest.raises(DataError, match=f"gave a file with another hash than {wrong}"):
        download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), len(CONTENT), wrong)
    assert names(tmp_path) == set()


def test_a_file_in_place_survives_a_failed_download(tmp_path: Path, server: Server) -> None:
    (tmp_path / "images.npz").write_bytes(b"mine")
    with pytest.raises(DataError):
        download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), None, f"sha256:{'0' * 64}")
    assert (tmp_path / "images.npz").read_bytes() == b"mine"
    download(tmp_path / "images.npz", [f"{server.url}/images.npz"], Heard(), None, "")
    assert (tmp_path / "images.npz").read_bytes() == CONTENT


def test_a_wrong_size_is_refused_before_it_is_downloaded(tmp_path: Path, server: Server) -> None:
    with pytest.raises(DataError, match="offers 300000 bytes, expected 299999"):
        download(tmp_path / "images.npz", [f"{server.url}/images.npz"], heard := Heard(), 299_999, "")
    assert heard.arrived == 0
    assert names(tmp_path) == set()


def test_the_next_source_is_tried(tmp_path: Path, server: Server) -> None:
    heard = Heard()
    server.files["damaged"] = CONTENT[:-1] + b"x"
    sources = [
        f"{closed_port()}/images.npz",
        *(f"{server.url}/{name}" for name in ("missing", "damaged", "images.npz")),
    ]
    download(tmp_path / "images.npz", sources, heard, len(CONTENT), SHA256)
    assert (tmp_path / "images.npz").read_bytes() == CONTENT
    assert [message.partition(": ")[0] for message in heard.messages] == sources[:3]
    assert "no connection (" in heard.messages[0]
    assert "HTTP 404" in heard.messages[1]


def test_no_network(tmp_path: Path) -> None:
    address = closed_port()
    with pytest.raises(DataError, match=rf"{address}/a: no connection \(Connection refused\)$"):
        download(tmp_path / "images.npz", [f"{address}/a"], Heard(), 3, "")
    assert names(tmp_path) == set()


def test_a_gzipped_file_stays_gzipped(tmp_path: Path, server: Server) -> None:
    server.files["a.gz"] = gzip.compress(CONTENT)
    download(tmp_path / "a.gz", [f"{server.url}/a.gz"], Heard(), len(server.files["a.gz"]), "")
    assert (tmp_path / "a.gz").read_bytes() == server.files["a.gz"]


def test_the_extra_is_named_where_pooch_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtra, match=r'needs pooch.*pip install "aerepr\[data\]"'):
        download(tmp_path / "a", ["http://127.0.0.1:9/a"], Heard())


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert file_hash(tmp_path / "a", "sha256") == SHA256
    assert os.path.getsize(tmp_path / "a") == len(CONTENT)
