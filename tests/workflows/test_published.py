"""`data list`, `where`, `fetch`, `verify` on a plugin's data set whose files a server in this process has."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aerepr.errors import DataError, UnknownComponent, UsageError
from aerepr.workflows import published
from tests.data.conftest import real_data as real_data
from tests.data.serving import Server, closed_port, serving
from tests.data.test_download import Heard
from tests.registry.conftest import install as install

# A data set in a file `points.npy`, and a folder of an archive that it opens without.
CODE = """
import numpy as np
from aerepr.data.held import HeldDataset
from aerepr.data.published import FilesSpec, published_file

class Points(HeldDataset):
    Spec = FilesSpec

    def __init__(self, spec, ctx):
        super().__init__(np.load(published_file(spec, ctx, "points.npy")))
"""


def archive(kind: str) -> bytes:
    """A folder `notes` with one file, as a zip or a tar.gz."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as opened:
            opened.writestr("notes/read/me.txt", "hello")
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as opened_tar:
            member = tarfile.TarInfo("notes/read/me.txt")
            member.size = 5
            opened_tar.addfile(member, io.BytesIO(b"hello"))
    return out.getvalue()


def points() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros((50, 2), np.float32))
    return out.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        found.files = {"points.npy": points(), "notes.zip": archive("zip"), "notes.tar.gz": archive("tar")}
        yield found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AEREPR_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "dots"


@pytest.fixture
def announce(install: Callable[..., Path], folder: Path) -> Callable[..., None]:
    """Install the data set `dots` with a card: where its files are, and which archive."""

    def put(url: str, archive: str = "notes.zip") -> None:
        known = hashlib.sha256(points()).hexdigest()
        text = f"""
            [[components]]
            kind = "dataset"
            name = "dots"
            summary = "dots for a test"
            [components.card]
            title = "Dots"
            homepage = "https://example.org/dots"
            licence = "MIT"
            citation = "nobody 2026"
            by_hand = "ask a friend for the files"
            files = [
                {{ name = "points.npy", urls = ["{url}/points.npy"], size = {len(points())}, sha256 = "{known}" }},
                {{ name = "{archive}", urls = ["{url}/{archive}"], unpacks_to = "notes/read" }},
                {{ name = "extra.txt", optional = true }},
            ]
            """
        install(
            "dotted", {"aerepr.datasets": {"dots": "dotted:Points"}, "aerepr.recipes": {"dotted": "dotted"}}, text, CODE
        )

    return put


def states() -> dict[str, str]:
    return {file["name"]: file["state"] for file in published.verify("dots")["files"]}


def row() -> dict[str, object]:
    (found,) = [row for row in published.listing() if row["name"] == "dots"]
    return found


@pytest.mark.parametrize("name", ["notes.zip", "notes.tar.gz"])
def test_fetch_verify_list_where(folder: Path, announce: Callable[..., None], server: Server, name: str) -> None:
    announce(server.url, name)
    assert row()["present"] == "no"
    found = published.verify("dots")
    assert not found["ok"]
    assert "aerepr data fetch dots" in found["error"]
    answer = published.fetch("dots", Heard())
    assert answer == {"name": "dots", "folder": str(folder), "fetched": ["points.npy", name], "kept": []}
    assert (folder / "notes" / "read" / "me.txt").read_text() == "hello"
    assert {path.name for path in folder.iterdir()} == {"points.npy", name, "notes"}
    found = published.verify("dots")
    assert (found["ok"], found["rows"], found["error"]) == (True, 50, "")
    assert states() == {"points.npy": "ok", name: "not verifiable", "extra.txt": "missing"}
    assert row() | {"card": None} == row() | {"card": None, "present": "yes", "size": None, "package": "dotted"}
    assert row()["card"]["licence"] == "MIT"
    about = published.where("dots")
    assert about["folder"] == str(folder)
    assert [(file["name"], file["there"]) for file in about["files"]] == [
        ("points.npy", True),
        (name, True),
        ("extra.txt", False),
    ]


def test_files_that_are_there_are_not_fetched_again(
    folder: Path, announce: Callable[..., None], server: Server
) -> None:
    announce(server.url)
    published.fetch("dots", Heard())
    (folder / "points.npy").write_bytes(points()[:-1] + b"x")
    server.requests.clear()
    assert states()["points.npy"] == "wrong hash"
    answer = published.fetch("dots", Heard())
    assert (answer["fetched"], answer["kept"]) == (["points.npy"], ["notes.zip"])
    assert [path for path, _ in server.requests] == ["/points.npy"]
    assert states()["points.npy"] == "ok"


def test_what_an_archive_was_unpacked_to_does_for_it(
    folder: Path, announce: Callable[..., None], server: Server
) -> None:
    announce(server.url)
    published.fetch("dots", Heard())
    (folder / "notes.zip").unlink()
    assert states()["notes.zip"] == "unpacked"
    assert row()["present"] == "yes"
    assert published.fetch("dots", Heard())["fetched"] == []


def test_an_archive_put_there_by_hand_is_unpacked(folder: Path, announce: Callable[..., None], server: Server) -> None:
    announce(closed_port())
    folder.mkdir(parents=True)
    (folder / "points.npy").write_bytes(points())
    (folder / "notes.zip").write_bytes(archive("zip"))
    assert published.fetch("dots", Heard())["kept"] == ["points.npy", "notes.zip"]
    assert (folder / "notes" / "read" / "me.txt").exists()


def test_verify_says_what_is_wrong(folder: Path, announce: Callable[..., None]) -> None:
    announce(closed_port())
    folder.mkdir(parents=True)
    (folder / "points.npy").write_bytes(points() + b"more")
    found = published.verify("dots")
    assert not found["ok"]
    assert found["files"][0] == {
        "name": "points.npy",
        "state": "wrong size",
        "detail": f"{len(points()) + 4} bytes, expected {len(points())}",
    }
    assert row()["present"] == "part"


def test_a_mirror_is_tried_first_and_the_card_after_it(
    folder: Path, announce: Callable[..., None], server: Server
) -> None:
    announce(closed_port())
    assert published.fetch("dots", Heard(), [f"{server.url}/"])["fetched"] == ["points.npy", "notes.zip"]
    (folder / "points.npy").unlink()
    with serving() as empty:
        heard = Heard()
        published.fetch("dots", heard, [empty.url, server.url])
    assert "HTTP 404" in heard.messages[0]


def test_without_a_network_one_error_says_what_to_do_by_hand(folder: Path, announce: Callable[..., None]) -> None:
    address = closed_port()
    announce(address)
    with pytest.raises(DataError) as caught:
        published.fetch("dots", Heard())
    text = str(caught.value)
    assert text.splitlines() == [
        f"dots: points.npy could not be downloaded ({address}/points.npy: no connection (Connection refused)).",
        "By hand: ask a friend for the files",
        f"  points.npy  {address}/points.npy",
        f"  notes.zip  {address}/notes.zip",
        "  extra.txt  https://example.org/dots  (optional)",
        f"Put them into {folder}",
        "and look at them with: aerepr data verify dots",
    ]
    assert not list(folder.iterdir())


def test_a_damaged_archive_leaves_nothing_unpacked(folder: Path, announce: Callable[..., None], server: Server) -> None:
    server.files["notes.tar.gz"] = archive("tar")[:-20]
    announce(server.url, "notes.tar.gz")
    with pytest.raises(DataError, match=r"notes\.tar\.gz: cannot be unpacked"):
        published.fetch("dots", Heard())
    assert not (folder / "notes").exists()


def test_an_archive_cannot_write_outside_its_folder(
    folder: Path, announce: Callable[..., None], server: Server
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as opened:
        opened.addfile(tarfile.TarInfo("../../escaped.txt"), io.BytesIO(b""))
    server.files["notes.tar.gz"] = out.getvalue()
    announce(server.url, "notes.tar.gz")
    with pytest.raises(DataError, match="cannot be unpacked"):
        published.fetch("dots", Heard())
    assert not list(folder.parent.parent.rglob("escaped.txt"))


def test_names_that_cannot_be_meant(folder: Path) -> None:
    with pytest.raises(UsageError, match='"rooms" has no card.*mnist'):
        published.where("rooms")
    with pytest.raises(UnknownComponent, match='did you mean "mnist"'):
        published.verify("mnits")


def test_the_real_mnist_files_are_seen_to_be_repacked(real_data: Path, folder: Path) -> None:
    place = folder.parent / "mnist"
    place.mkdir(parents=True)
    for file in (real_data / "mnist").glob("*.gz"):
        (place / file.name).write_bytes(file.read_bytes())
    found = published.verify("mnist")
    states = {file["name"]: file["state"] for file in found["files"]}
    assert states["train-images-idx3-ubyte.gz"] == "missing"
    assert states["t10k-images-idx3-ubyte.gz"] in ("wrong size", "wrong hash")
    assert not found["ok"]
