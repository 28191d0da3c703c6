"""`aerepr metrics`."""

import json

import numpy as np
import pytest

from aerepr.metrics import mig, modularity
from aerepr.registry.registry import Registry
from tests.builtin.metrics.arrays import classes, noisy


@pytest.fixture
def files(folder):
    y = classes(300)
    np.save(folder / "z.npy", noisy(y, 0.3))
    np.save(folder / "y.npy", y)
    return folder


GIVEN = ["metrics", "--codes", "z.npy", "--factors", "y.npy"]


def arrays():
    return np.load("z.npy"), np.load("y.npy")


def test_json_has_one_flat_key_a_number(aerepr, files):
    done = aerepr(*GIVEN, "--only", "mig,modularity,irs", "--train-rows", 150, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["mig.score", "modularity.score", "irs.score"]
    assert found["mig.score"] == mig(*arrays()).score
    assert found["modularity.score"] == modularity(*arrays(), train_rows=150).score


def test_the_table_says_how(aerepr, files):
    done = aerepr(*GIVEN, "--only", "modularity")
    assert done.exit_code == 0, done.stderr
    assert f"{modularity(*arrays(), train_rows=200).score:.6g}" in done.stdout  # two thirds
    assert "300 rows, 4 dimensions, 3 factors" in done.stdout
    assert "train rows; 20 equal-width bins a dimension" in done.stdout


def test_every_metric_by_default(aerepr, files):
    y = classes(90)
    np.save("z.npy", noisy(y, 0.3))
    np.save("y.npy", y)
    done = aerepr(*GIVEN, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert {
        "mig.score",
        "dci.disentanglement",
        "dci.completeness",
        "dci.informativeness_test",
        "dci_lgbm.disentanglement",
        "modularity.score",
        "explicitness.score",
        "irs.score",
        "sap.score",
        "factor_vae.score",
        "beta_vae.score",
        "total_correlation.score",
    } <= set(found)
    assert all(isinstance(value, float) for value in found.values())


def test_intervals_and_seeds(aerepr, files):
    np.save("z.npy", noisy(arrays()[1], 2.0))
    asked = [*GIVEN, "--only", "factor_vae", "--ci", "--resamples", 3, "--json", "--seed"]
    first, again, other = (json.loads(aerepr(*asked, seed).stdout) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert list(first)[:3] == ["factor_vae.score", "factor_vae.score.ci_low", "factor_vae.score.ci_high"]
    text = aerepr(*GIVEN, "--only", "mig", "--ci", "--resamples", 3).stdout
    assert "95 % interval" in text
    assert "[0." in text


def test_settings_of_a_metric(aerepr, files):
    done = aerepr(*GIVEN, "--only", "irs", "--set", "irs.quantile=1", "--json")
    assert list(json.loads(done.stdout)) == ["irs.score@quantile=1"]
    wrong = aerepr(*GIVEN, "--only", "irs", "--set", "mig.quantile=1")
    assert (wrong.exit_code, "--set mig" in wrong.stderr) == (2, True)


def test_codes_and_factors_in_one_npz(aerepr, files):
    z, y = arrays()
    np.savez("both.npz", codes=z, factors=y, rows=np.arange(300))
    done = aerepr("metrics", "--codes", "both.npz", "--only", "mig", "--json")
    assert json.loads(done.stdout) == {"mig.score": mig(z, y).score}
    np.savez("named.npz", mu=z, labels=y)
    asked = ["metrics", "--codes", "named.npz", "--factors", "named.npz", "--only", "mig"]
    assert "mu, labels" in aerepr(*asked).stderr
    assert aerepr(*asked, "--codes-key", "mu", "--factors-key", "labels").exit_code == 0


def test_sorted_rows_are_told_and_can_be_shuffled(aerepr, files):
    z, y = arrays()
    rows = np.lexsort(y.T[::-1])
    np.save("z.npy", z[rows])
    np.save("y.npy", y[rows])
    done = aerepr(*GIVEN, "--only", "mig,modularity", "--json")
    assert "rows are sorted by factor 0: the train rows of modularity have other classes" in done.stderr
    order = np.random.default_rng(5).permutation(300)
    shuffled = aerepr(*GIVEN, "--only", "mig,modularity", "--shuffle", "--seed", 5, "--json")
    assert "sorted" not in shuffled.stderr
    expected = modularity(z[rows][order], y[rows][order]).score
    assert json.loads(shuffled.stdout)["modularity.score"] == expected != json.loads(done.stdout)["modularity.score"]
    # Without train rows their order counts for nothing.
    assert "sorted" not in aerepr(*GIVEN, "--only", "mig", "--json").stderr
    np.save("y.npy", y)
    assert "sorted" not in aerepr(*GIVEN, "--only", "modularity", "--json").stderr


def test_without_factors_only_what_needs_none(aerepr, files):
    done = aerepr("metrics", "--codes", "z.npy", "--json")
    assert done.exit_code == 0, done.stderr
    found = {key.partition(".")[0] for key in json.loads(done.stdout)}
    assert {"active_units", "total_correlation"} <= found
    # Plugins that are installed here may have more of them.
    assert not any(Registry().load("metric", name).supervised for name in found)
    done = aerepr("metrics", "--codes", "z.npy", "--only", "mig")
    assert done.exit_code == 1
    assert "needs ground-truth factors" in done.stderr


def test_a_metric_that_is_not_defined_leaves_the_others(aerepr, files):
    z, y = arrays()
    np.save("y.npy", np.concatenate([y, np.zeros((300, 1), int)], axis=1))
    done = aerepr(*GIVEN, "--only", "mig,irs", "--json")
    assert done.exit_code == 1
    assert list(json.loads(done.stdout)) == ["irs.score"]
    assert "not computed: mig: factors: factor 3 has the single value 0" in done.stderr


def test_an_infinite_number_is_json(aerepr, files):
    z, _ = arrays()
    np.save("z.npy", np.concatenate([z, z], axis=1))
    found = json.loads(aerepr(*GIVEN, "--only", "total_correlation", "--json").stdout, parse_constant=pytest.fail)
    assert found["total_correlation.score"] == "inf"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--codes", "none.npy"], 1, "none.npy"),
        (["--codes", "z.txt"], 1, "expected .npy or .npz"),
        (["--codes", "pickled.npy", "--factors", "y.npy"], 1, "pickled object array"),
        (["--codes", "empty.npy", "--factors", "y.npy"], 1, "empty.npy: found an empty file"),
        (["--codes", "empty.npz", "--factors", "y.npy"], 1, "empty.npz: found an empty file"),
        (["--codes", "none.npz", "--factors", "y.npy"], 1, "none.npz: found the arrays (none)"),
        (["--codes", "cut.npy", "--factors", "y.npy"], 1, "cut.npy: found 100 bytes of values"),
        (["--codes", "z.npy", "--factors", "floats.npz", "--only", "mig"], 1, "found float32, expected classes"),
        (
            ["--codes", "two.npz", "--factors-key", "labels"],
            1,
            'two.npz: found no key "labels", expected one of: codes',
        ),
        (
            ["--codes", "z.npy", "--factors-key", "labels"],
            2,
            "--factors-key labels: z.npy holds one array without a name",
        ),
        ([*GIVEN[1:], "--codes-key", "mu"], 2, "--codes-key mu: z.npy holds one array without a name"),
        ([*GIVEN[1:], "--only", "mgi"], 2, 'no metric named "mgi" (did you mean "mig"?)'),
        ([*GIVEN[1:], "--only", ""], 2, "name at least one metric"),
        ([*GIVEN[1:], "--only", "reconstruction"], 2, "aerepr evaluate"),
        ([*GIVEN[1:], "--only", "sap", "--train-rows", "10000"], 1, "300 rows are available"),
        (["--codes", "z.npy", "--factors", "short.npy", "--only", "mig"], 1, "found 299 rows, expected 300"),
        (["--codes", "nan.npy", "--factors", "y.npy", "--only", "mig"], 1, "found 1 values that are NaN or infinite"),
        (["--codes", "inf.npy", "--only", "total_correlation"], 1, "found 1 values that are NaN or infinite"),
        (
            ["--codes", "z.npy", "--factors", "float.npy", "--only", "mig"],
            1,
            "found float64, expected classes as integers",
        ),
        (["--codes", "z.npy", "--factors", "one.npy", "--only", "mig,sap"], 1, "every factor has a single value"),
        (["--codes", "few.npy", "--only", "total_correlation"], 1, "found 19 rows, expected at least 20"),
        ([*GIVEN[1:], "--only", "fid"], 2, 'metric "fid" is of a run, not of codes: aerepr evaluate computes it'),
    ],
)
def test_errors(aerepr, files, arguments, code, says):
    np.save("pickled.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    z, y = arrays()
    np.save("short.npy", y[:299])
    np.save("float.npy", y + 0.5)
    np.save("one.npy", np.full((300, 1), 2))
    np.save("few.npy", z[:19])
    for value in ("nan", "inf"):
        z[7, 1] = float(value)
        np.save(f"{value}.npy", z)
    (files / "z.txt").write_text("1 2")
    for name in ("empty.npy", "empty.npz"):
        (files / name).touch()
    np.savez("none.npz")
    np.savez("floats.npz", only=np.load("z.npy"))
    np.savez("two.npz", codes=np.load("z.npy"), factors=np.load("y.npy"))
    (files / "cut.npy").write_bytes((files / "z.npy").read_bytes()[: 128 + 100])
    done = aerepr("metrics", *arguments)
    assert (done.exit_code, says in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
