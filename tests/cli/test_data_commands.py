"""`aerepr data list`, `where`, `fetch`, `verify` and `inspect` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builtin.datasets.official_files import celeba_files, four_idx_files
from tests.data.serving import closed_port, serving


@pytest.fixture
def data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all published data sets; nothing in it yet."""
    monkeypatch.setenv("AEREPR_DATA", str(folder / "data"))
    # Without one, requests asks the network for a proxy of its own.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder / "data"


def test_list(aerepr, data):
    four_idx_files(data / "mnist")
    lines = {line.split()[0]: line for line in aerepr("data", "list").stdout.splitlines()}
    assert lines["mnist"].split()[:5] == ["mnist", "aerepr", "yes", "11.1", "MiB"]
    assert "CC BY-SA 3.0" in lines["mnist"]
    assert lines["dsprites"].split()[:4] == ["dsprites", "aerepr", "no", "unknown"]
    rows = {row["name"]: row for row in json.loads(aerepr("data", "list", "--json").stdout)}
    old = {"kind", "name", "package", "version", "summary", "source", "problem"}
    assert set(rows["mnist"]) == {*old, "card", "size", "present"}
    assert rows["mnist"]["card"]["files"][0]["hash"].startswith("sha256:")
    assert (rows["rooms"]["card"], rows["rooms"]["present"]) == (None, None)


def test_where(aerepr, data):
    assert aerepr("data", "where").stdout == f"{data}\n"
    text = aerepr("data", "where", "celeba").stdout
    assert f"folder    {data / 'celeba'}\n" in text
    for part in ("img_align_celeba.zip", "list_eval_partition.txt", "by hand", "mmlab.ie.cuhk.edu.hk"):
        assert part in text
    answer = json.loads(aerepr("data", "where", "celeba", "--json").stdout)
    assert [file["there"] for file in answer["files"]] == [False, False, False]
    refused = aerepr("data", "where", "sprites")
    assert refused.exit_code == 2
    assert 'data set "sprites" has no card' in refused.stderr


def test_fetch_without_a_network_is_one_error(aerepr, data):
    # A published data set by hand alone, so that nothing outside this machine is asked for.
    done = aerepr("data", "fetch", "celeba", "--mirror", closed_port())
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1
    error = done.stderr[done.stderr.index("error:") :]
    assert "no connection (Connection refused)" in error
    assert "By hand: in a browser, from the Google Drive folder" in error
    assert f"Put them into {data / 'celeba'}" in error
    assert not list((data / "celeba").iterdir())


def test_fetch_says_how_it_goes_and_refuses_other_content(aerepr, data):
    celeba_files(data / "celeba", [0, 1, 2])
    (data / "celeba" / "list_attr_celeba.txt").unlink()
    (data / "celeba" / "list_eval_partition.txt").unlink()
    with serving() as server:
        server.files["list_eval_partition.txt"] = b"x" * 2_836_386
        done = aerepr("data", "fetch", "celeba", "--mirror", server.url)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "list_eval_partition.txt  from 0 B of 2.7 MiB"
    assert lines[-1].startswith("and look at them with")
    assert sum(line.startswith("list_eval_partition.txt  ") for line in lines) == 11
    assert "gave a file with another hash than sha256:fc955bcb" in done.stderr
    assert not (data / "celeba" / "list_eval_partition.txt").exists()


def test_verify(aerepr, data):
    four_idx_files(data / "mnist")
    done = aerepr("data", "verify", "mnist")
    assert done.exit_code == 1
    assert "train-images-idx3-ubyte.gz  wrong size" in done.stdout
    assert "does not open: " in done.stdout
    assert "found 20 images, expected 60,000" in done.stdout
    four_idx_files(data / "mnist", 60_000, 10_000, suffix="")
    for file in (data / "mnist").glob("*.gz"):
        file.unlink()
    done = aerepr("data", "verify", "mnist")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "train-images-idx3-ubyte.gz  unpacked" in done.stdout
    assert done.stdout.endswith("opens: 70,000 rows\n")


def test_inspect_by_name(aerepr, data, folder):
    four_idx_files(data / "mnist", 40, 10)
    done = aerepr("data", "inspect", "mnist", "--set", "subset_file=true", "--out", folder / "digits.png", "-n", 9)
    assert done.exit_code == 0, done.stderr
    cells = [line.split() for line in done.stdout.splitlines()]
    assert ["one", "example", "image", "1", "x", "28", "x", "28"] in cells
    assert cells[3:6] == [["train", "35"], ["valid", "5"], ["test", "10"]]
    assert ["label", "10", "50"] in cells
    assert (folder / "digits.png").stat().st_size > 0
    # A spec is still a spec, and a word that is neither is said to be no data set.
    assert aerepr("data", "inspect", "spec.toml").exit_code == 0
    refused = aerepr("data", "inspect", "mnits")
    assert refused.exit_code == 2
    assert 'did you mean "mnist"' in refused.stderr


def test_inspect_without_files_says_how_to_get_them(aerepr, data):
    done = aerepr("data", "inspect", "fashion_mnist")
    assert done.exit_code == 1
    assert "aerepr data fetch fashion_mnist" in done.stderr
