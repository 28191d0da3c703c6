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
    assert "test split: 12 of 12 examples\nfactors: none\n" in done.stdout
    assert "reconstruction.mse  " in done.stdout
    assert "reconstruction: the likelihood's mean" in done.stdout
    assert "12 of 12 rows of the test split, drawn without replacement (seed 0)" in done.stdout
    # What is not there says why, and as nobody asked for it by name, all is well.
    assert "not computed:\n" in done.stdout
    assert '  mig: metric "mig" needs ground-truth factors' in done.stdout
    assert "  dci: takes minutes" in done.stdout
    assert (trained / "evaluation" / "test-samples.png").is_file()
    assert "evaluate: 100%" in done.stderr


def test_it_says_where_it_computed(aerepr, trained):
    asked = ["evaluate", "--metrics", "reconstruction", "--device", "cpu"]
    assert json.loads(aerepr(*asked, "--json").stdout)["perf"]["device"] == "cpu"
    assert " s on cpu; encoding apart: 12 examples" in aerepr(*asked).stdout


def test_vectors_have_no_inception_distance_whatever_the_weights_are(aerepr, trained):
    done = aerepr("evaluate", "--metrics", "fid", "--set", "fid.weights=no.pth")
    assert done.exit_code == 1
    assert "fid: found data that is a vector 2, expected images" in done.stderr


def test_json_has_flat_keys(aerepr, trained):
    done = aerepr("evaluate", "runs/points/one", "--metrics", "reconstruction", "--split", "valid", "--json")
    answer = json.loads(done.stdout)
    assert list(answer["metrics"]) == ["reconstruction.mse"]
    assert (answer["split"], answer["rows"]) == ("valid", 6)
    assert list(answer["perf"]["seconds"]) == ["reconstruction"]
    stored = json.loads((trained / "evaluation" / "valid.json").read_text())
    assert stored["metrics"]["reconstruction"]["numbers"] == answer["metrics"]


def test_a_metric_that_is_named_and_not_defined_fails_after_the_others_are_written(aerepr, trained):
    done = aerepr("evaluate", "--metrics", "mig,reconstruction")
    assert done.exit_code == 1
    assert 'error: mig: metric "mig" needs ground-truth factors' in done.stderr
    assert "reconstruction.mse" in done.stdout
    assert "not computed" not in done.stdout
    assert (trained / "evaluation" / "test.json").is_file()


def test_intervals_and_the_table_on_a_terminal(aerepr, trained):
    from aerepr.cli.evaluate import text

    arguments = ["--metrics", "total_correlation,reconstruction", "--split", "all", "--ci", "--resamples", "3"]
    done = aerepr("evaluate", *arguments, "--seed", "2", "--json")
    answer = json.loads(done.stdout)
    assert answer["of"] == 60
    low, high = answer["intervals"]["total_correlation.wasserstein"]
    assert low < answer["metrics"]["total_correlation.wasserstein"] < high
    assert f"[{low:.4g}, {high:.4g}]" in aerepr("evaluate", *arguments, "--seed", "2").stdout
    shown = text(answer, terminal=True)
    assert "total_correlation" in shown
    assert f"[{low:.4g}, {high:.4g}]" in shown
    # In groups: the name of a metric once, then its numbers.
    assert "reconstruction.mse" not in shown
    lines = [line for line in shown.splitlines() if "total_correlation" in line or "wasserstein" in line]
    assert sum("total_correlation" in line for line in lines) == 1 < len(lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "some"], '--rows: expected a number of examples or "full", got "some"'),
        (["--subset", "shape=[2]"], "needs a factor table"),
        (["--split", "dev"], "expected train, valid, test, all"),
        (["--device", "quantum"], 'device: "quantum" is not available here'),
        (["--metrics", "fid"], "fid.weights=PATH; none is downloaded"),
    ],
)
def test_bad_input_is_one_error(aerepr, trained, arguments, message):
    done = aerepr("evaluate", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("error:") == 1
