"""`aerepr evaluate` on the command line."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def trained(aerepr, folder):
    assert aerepr("train", "spec.toml", "--run", "runs/points/one").exit_code == 0
    return folder / "runs" / "points" / "one"


def test_it_prints_a_table_with_protocol_and_rows(aerepr, trained):
    done = aerepr("evaluate", "--rows", "full")
    assert done.exit_code == 0, done.output
    assert "test split: 12 of 12 examples" in done.stdout
    assert "reconstruction.mse  " in done.stdout
    assert "reconstruction: the likelihood's mean" in done.stdout


def test_json_has_flat_keys(aerepr, trained):
    done = aerepr("evaluate", "runs/points/one", "--metrics", "reconstruction", "--split", "valid", "--json")
    answer = json.loads(done.stdout)
    assert list(answer["metrics"]) == ["reconstruction.mse"]
    assert (answer["split"], answer["rows"]) == ("valid", 6)
    stored = json.loads((trained / "evaluation" / "valid.json").read_text())
    assert stored["metrics"]["reconstruction"]["numbers"] == answer["metrics"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "some"], '--rows: expected a number of examples or "full", got "some"'),
        (["--subset", "shape=[2]"], "needs a factor table"),
        (["--split", "dev"], "expected train, valid, test"),
    ],
)
def test_bad_input_is_one_error(aerepr, trained, arguments, message):
    done = aerepr("evaluate", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("error:") == 1
