"""Metrics that compare runs: over the seeds of a study, kept in its folder, and of runs that are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from aerepr.errors import UsageError
from aerepr.metrics import udr
from aerepr.spec.read import apply_sets
from aerepr.study.adopt import adopt
from aerepr.study.alike import what_sets_apart
from aerepr.study.folder import StudyFolder
from aerepr.study.plan import read_plan
from aerepr.workflows.evaluate import evaluate
from aerepr.workflows.load import load
from aerepr.workflows.study_results import study_rank, study_table
from aerepr.workflows.together import evaluate_together
from aerepr.workflows.train import train

STUDY = """
name = "small"
[spec.model]
encoder = { name = "mlp", hidden = [8] }
decoder = { name = "mlp", hidden = [8] }
likelihood = { name = "gaussian" }
[spec.data]
name = "npz"
path = "points.npz"
values = "values"
factors = "factors"
[spec.train]
steps = 30
batch_size = 16
device = "cpu"
log_every = 30
validate_every = 30
checkpoint_every = 30
[axes]
"model.latent_dim" = [2, 3]
seed = [0, 1, 2]
[[evaluate]]
metrics = ["reconstruction", "mig"]
rows = 20
[[evaluate]]
id = "low"
subset = { factor_0 = [0, 1] }
metrics = ["reconstruction"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `study.toml`, with a study of six runs in `runs/small`, each trained and evaluated as its driver does."""
    folder = tmp_path_factory.mktemp("study")
    generator = np.random.Generator(np.random.PCG64(0))
    factors = generator.integers(0, 4, size=(200, 2))
    values = factors @ generator.normal(size=(2, 3)) + 0.05 * generator.normal(size=(200, 3))
    np.savez(folder / "points.npz", values=values.astype(np.float32), factors=factors)
    (folder / "study.toml").write_text(STUDY)
    plan = read_plan(folder / "study.toml")
    study = StudyFolder(folder / "runs" / plan.name)
    adopt(study, plan)
    for planned in plan.runs:
        path = train(planned.spec, runs=folder / "runs", folder=folder)
        tables = {}
        for item in plan.evaluate:
            rows = None if item.rows == "full" else item.rows
            answer = evaluate(path, names=item.metrics, subset=item.subset, rows=rows)
            tables[item.id or ""] = {
                "asked": item.asked(),
                "spec_hash": answer["spec_hash"],
                "metrics": answer["metrics"],
                "protocols": answer["protocol"],
                "refused": answer["refused"],
            }
        study.write_evaluation(load(path).directory, tables)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, whose folder is the current one."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy" / "runs" / "small"


@pytest.fixture
def aerepr() -> Callable[..., Result]:
    from aerepr.cli.app import app

    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def runs_of(study: Path, dimensions: int) -> list[Path]:
    """Those of one level, by seed."""
    found = {}
    for path in study.glob("*/spec.resolved.json"):
        spec = json.loads(path.read_text())
        if spec["model"]["latent_dim"] == dimensions:
            found[spec["seed"]] = path.parent
    return [found[seed] for seed in sorted(found)]


def by_hand(paths: list[Path], rows: int | None = 20):
    """The metric of the codes that each run gives for the rows a study asks about, in any order of them."""
    from aerepr.evaluation.evaluate import Selection
    from aerepr.workflows.assemble import run_source

    opened = [load(path) for path in paths]
    source = run_source(opened[0].directory, opened[0].view, opened[0].registry)
    chosen = Selection(count=rows).rows(source)
    values = np.load("points.npz")["values"][chosen]
    return udr([run.encode(values) for run in opened])


def test_each_run_is_compared_with_the_other_seeds_of_its_levels(study):
    found = study_table(metrics=["udr", "mig.score"])
    assert found.keys == ["udr.lasso", "udr.spearman", "mig.score"]
    assert found.pooled == ["seed"]
    for row, dimensions in zip(found.rows, (2, 3), strict=True):
        expected = by_hand(runs_of(study, dimensions))
        cell = row.cells["udr.lasso"]
        assert list(cell.values.values()) == pytest.approx(expected.lasso_M.tolist(), rel=1e-4)
        assert (cell.mean, cell.n) == (pytest.approx(expected.lasso_M.mean(), rel=1e-4), 3)
        assert cell.deviation == pytest.approx(expected.lasso_M.std(ddof=1), rel=1e-3, abs=1e-6)
        assert row.cells["udr.spearman"].mean == pytest.approx(expected.spearman_M.mean(), rel=1e-4)
    ((protocol, rows),) = found.protocols["udr"].items()
    assert "Lasso alpha 0.1" in protocol
    assert "20 of 40 rows of the test split" in protocol
    assert protocol.endswith("with the other done runs of the same levels but for the seed")
    assert len(rows) == 2


def test_a_comparison_is_kept_and_made_anew_when_a_run_is_another(study):
    told: list[tuple[str, int, int]] = []
    first = study_rank(by="udr", against=[])
    path = study / "comparisons.json"
    kept = json.loads(path.read_text())
    assert sorted(kept) == ["udr of model.latent_dim=2", "udr of model.latent_dim=3"]
    # What is kept is used: a number that is changed there comes back.
    kept["udr of model.latent_dim=2"]["each"][1]["udr.lasso"] = 5.0
    path.write_text(json.dumps(kept))
    assert study_rank(by="udr", against=[]).groups[0].records[0].metrics["udr.lasso"] == 5.0
    # Another model in one run's folder: its level is compared again, and the other is not.
    kept["udr of model.latent_dim=3"]["each"][1]["udr.lasso"] = 4.0
    path.write_text(json.dumps(kept))
    changed = runs_of(study, 2)[0]
    card = json.loads((changed / "model" / "card.json").read_text())
    # The weights stay as they are, so that the numbers must too.
    kept["udr of model.latent_dim=2"]["of"]["runs"][changed.name] = "0" * 64
    path.write_text(json.dumps(kept))
    again = study_rank(by="udr", against=[], progress=lambda what, done, total: told.append((what, done, total)))
    scores = {(r.levels["model.latent_dim"], r.levels["seed"]): r.metrics["udr.lasso"] for r in again.groups[0].records}
    before = {(r.levels["model.latent_dim"], r.levels["seed"]): r.metrics["udr.lasso"] for r in first.groups[0].records}
    assert {key: scores[key] for key in scores if key[0] == "2"} == {
        key: before[key] for key in before if key[0] == "2"
    }
    assert scores["3", "1"] == 4.0
    of = json.loads(path.read_text())["udr of model.latent_dim=2"]["of"]
    assert of["runs"][changed.name] == card["sha256"]["model"]
    # Of two levels, the first alone was computed.
    assert told == [("compare", 0, 2), ("compare", 1, 2)]
    # A damaged file is made anew.
    path.write_text("{")
    assert study_rank(by="udr", against=[]).groups == first.groups


def test_a_level_with_one_run_left_says_so(study):
    for path in runs_of(study, 3)[1:]:
        shutil.rmtree(path)
    shutil.rmtree(runs_of(study, 2)[2])
    found = study_rank(by="udr", against=["mig"])
    assert {record.levels["model.latent_dim"] for record in found.groups[0].records} == {"2"}
    # Of the two seeds that are left, each is compared with the other.
    scores = [record.metrics["udr.lasso"] for record in found.groups[0].records]
    assert sorted(scores) == pytest.approx(sorted(by_hand(runs_of(study, 2)).lasso_M.tolist()), rel=1e-4)
    reasons = {(levels["model.latent_dim"], levels["seed"]): reason for levels, reason in found.unranked}
    assert reasons["2", "2"] == "missing"
    assert reasons["3", "1"] == "missing"
    assert reasons["3", "0"] == "no udr.lasso: compares runs that differ in their seed alone; of these levels 1 is done"
    (item,) = found.groups[0].correlations
    assert item.rho.note == "too few runs (n = 2, 8 needed)"


def test_another_evaluation_of_the_study_is_meant_by_its_id(study):
    found = study_table(metrics=["low/udr.lasso", "low/reconstruction"])
    assert found.keys == ["low/udr.lasso", "low/reconstruction.mse"]
    (protocol,) = found.protocols["low/udr"]
    assert "rows of the test split with factor_0 = [0, 1]" in protocol
    with pytest.raises(UsageError, match='this study has no evaluation "high"; there are: low'):
        study_table(metrics=["high/udr"])


def test_data_that_is_not_at_hand_is_told(study, aerepr):
    Path("points.npz").rename("moved.npz")
    kept = json.loads((runs_of(study, 2)[0] / "env.json").read_text())["folder"]
    Path(kept, "points.npz").rename(Path(kept, "moved.npz"))
    try:
        done = aerepr("study", "rank", "--by", "udr")
        assert done.exit_code == 2
        assert "error: no run of this study has udr: " in done.stderr
        assert "points.npz" in done.stderr
        Path("elsewhere").mkdir()
        Path("moved.npz").rename("elsewhere/points.npz")
        assert aerepr("study", "rank", "--by", "udr", "--folder", "elsewhere").exit_code == 0
    finally:
        Path(kept, "moved.npz").rename(Path(kept, "points.npz"))


def test_a_study_without_seeds_has_no_comparison(study):
    plan = json.loads((study / "plan.json").read_text())
    plan["axes"] = {"model.latent_dim": ["2", "3"], "train.seed": ["0", "1", "2"]}
    (study / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(
        UsageError, match='"udr" compares runs that differ in their seed alone, and this study has no axis'
    ):
        study_rank(by="udr")


def test_supervised_metrics_are_correlated_with_where_none_are_named(study):
    found = study_rank(by="reconstruction", resamples=50)
    assert found.by == "reconstruction.mse"
    assert found.against == ["mig.score"]
    (group,) = found.groups
    assert len(group.records) == 6
    assert group.correlations[0].rho.n == 6


def test_the_commands(study, aerepr):
    done = aerepr("study", "table")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("small: 6 of 6 runs done\nmodel.latent_dim   n")
    assert "reconstruction: the likelihood's mean" in done.stdout
    assert "low/reconstruction: the likelihood's mean" in done.stdout
    asked = ("study", "table", "small", "--metrics", "mig.score,udr.lasso")
    answer = json.loads(aerepr(*asked, "--json").stdout)
    assert list(answer["rows"][0]["metrics"]) == ["mig.score", "udr.lasso"]
    assert answer == json.loads(aerepr(*asked, "--format", "json").stdout)
    assert aerepr(*asked, "--format", "csv").stdout.startswith("model.latent_dim,metric,mean,sd,n,")
    assert "| model.latent_dim | n | mig.score | udr.lasso |" in aerepr(*asked, "--format", "markdown").stdout
    written = aerepr(*asked, "--format", "latex", "--out", "tables/small.tex")
    assert (written.exit_code, written.stdout) == (0, "")
    assert r"\toprule" in Path("tables/small.tex").read_text()
    assert [path.name for path in Path("tables").iterdir()] == ["small.tex"]
    # The TOML file, the folder and the name mean the same study.
    assert aerepr("study", "table", "study.toml").stdout == done.stdout == aerepr("study", "table", study).stdout
    wrong = aerepr("study", "table", "--metrics", "mgi.score")
    assert wrong.exit_code == 2
    assert '(did you mean "mig.score"?)' in wrong.stderr
    assert aerepr("study", "table", "--format", "html").exit_code == 2
    ranked = aerepr("study", "rank", "--by", "udr", "--against", "mig")
    assert ranked.exit_code == 0, ranked.output
    assert "small: 6 runs by udr.lasso, highest first" in ranked.stdout
    assert "mig.score   6   too few runs" in ranked.stdout
    answer = json.loads(aerepr("study", "rank", "--by", "udr", "--json").stdout)
    assert [item["place"] for item in answer["groups"][0]["runs"]] == [1, 2, 3, 4, 5, 6]


def test_runs_that_are_named_are_compared(study, aerepr):
    paths = runs_of(study, 2)
    found = evaluate_together(paths, rows=None)
    expected = by_hand(paths, rows=None)
    assert [numbers["udr.lasso"] for numbers in found["each"]] == pytest.approx(expected.lasso_M.tolist(), rel=1e-4)
    assert found["metrics"]["udr.lasso"] == pytest.approx(expected.lasso_M.mean(), rel=1e-4)
    assert list(found["metrics"]) == ["udr.lasso", "udr.spearman"]
    assert (found["rows"], found["of"]) == (40, 40)
    done = aerepr("evaluate", *paths, "--metrics", "udr", "--rows", "full", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"] == found["metrics"]
    shown = aerepr("evaluate", *paths).stdout
    assert f"[3] {paths[2]}\ntest split: 40 of 40 examples" in shown
    assert "udr.lasso " in shown
    assert "udr: dimensions of a mean KL" in shown


def test_runs_that_cannot_be_compared_are_refused(study, aerepr):
    one, other, _ = runs_of(study, 2)
    twice = aerepr("evaluate", one, one, "--metrics", "udr")
    assert twice.exit_code == 2
    assert "is named twice" in twice.stderr
    single = aerepr("evaluate", one, other, "--metrics", "mig")
    assert single.exit_code == 2
    assert 'metric "mig" is one of a single run' in single.stderr
    assert aerepr("evaluate", one, other, "--ci").exit_code == 2
    # Both, of which one can be had: it is, and the exit code says that the other is not.
    both = aerepr("evaluate", one, other, "--metrics", "udr,mig")
    assert both.exit_code == 1
    assert "udr.lasso" in both.stdout


def test_runs_on_other_examples_are_refused(study, aerepr):
    one, other, _ = runs_of(study, 2)
    # The same rows of a file that holds something else.
    folder = Path("other")
    folder.mkdir()
    held = dict(np.load("points.npz"))
    np.savez(folder / "points.npz", **{**held, "values": held["values"][::-1]})
    env = json.loads((other / "env.json").read_text())
    (other / "env.json").write_text(json.dumps({**env, "folder": str(folder.resolve())}))
    done = aerepr("evaluate", one, other, "--metrics", "udr")
    assert done.exit_code == 1
    assert "those of run 1 (from 0) are others than those of the first" in done.stderr
    # Another split of the same file.
    spec = apply_sets(read_plan(Path("study.toml")).runs[2].spec, ["data.split_seed=7"])
    done = aerepr("evaluate", one, train(spec, folder="."), "--metrics", "udr", "--rows", "full")
    assert done.exit_code == 1
    assert "those of run 1 (from 0) are others" in done.stderr


def test_levels_that_tell_runs_apart():
    among = [{"data": data, "recipe": recipe} for data in ("a", "b") for recipe in ("x", "y")]
    assert what_sets_apart(among, among) == ""
    assert what_sets_apart(among[:2], among) == "data=a"
    assert what_sets_apart(among[1:2], among) == "data=a, recipe=y"
    assert what_sets_apart([among[0], among[3]], among) == "data=a, recipe=x; data=b, recipe=y"


def test_from_the_study_file_to_the_table(study_file, aerepr):
    path = study_file('[axes]\nseed = [0, 1]\n[[evaluate]]\nmetrics = ["reconstruction", "mig"]\n')
    assert aerepr("study", "run", path, "--jobs", "2").exit_code == 0
    done = aerepr("study", "table", "--metrics", "reconstruction,udr.spearman", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert row["runs"]["done"] == row["metrics"]["reconstruction.mse"]["n"] == 2
    assert list(row["metrics"]["udr.spearman"]["values"]) == ["seed=0", "seed=1"]
    # Of what was evaluated, each value is that of the run itself.
    values = {}
    for run in StudyFolder(Path("runs/small")).path.glob("*/evaluation/test.json"):
        seed = json.loads((run.parents[1] / "spec.resolved.json").read_text())["seed"]
        values[f"seed={seed}"] = json.loads(run.read_text())["metrics"]["reconstruction"]["numbers"][
            "reconstruction.mse"
        ]
    assert row["metrics"]["reconstruction.mse"]["values"] == values
    assert 'mig: computed on no run: metric "mig" needs ground-truth factors' in aerepr("study", "table").stdout
