"""What is made of the studies in `examples`, on records given by hand."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from aerepr.study.adopt import adopt
from aerepr.study.folder import StudyFolder
from aerepr.study.plan import read_plan
from aerepr.study.record import Record, State, Study

PACKAGE = Path(__file__).parents[1]
SEEDS = [str(seed) for seed in range(5)]
MODELS = ["grid", "grid-narrow", "normal"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(PACKAGE.parents[1] / "benchmarks")
    return importlib.import_module("discrete_study")


def record(model: str, seed: str, metrics: Mapping[str, float], state: State = "done") -> Record:
    return Record({"seed": seed, "model": model}, "", state, None, "", dict(metrics), {}, {})


def called(run: Record) -> tuple[str, str]:
    return run.levels["model"], run.levels["seed"]


def study(runs: Mapping[tuple[str, str], Mapping[str, float]]) -> Study:
    """Runs by model and seed; the others of the plan are missing."""
    found = []
    for seed in SEEDS:
        for model in MODELS:
            state: State = "done" if (model, seed) in runs else "missing"
            found.append(record(model, seed, runs.get((model, seed), {}), state))
    return Study("discrete-rooms", {"seed": SEEDS, "model": MODELS}, found)


def grids(script: ModuleType, gaps: list[float], scores: list[float]) -> Study:
    """The five wide runs, then the five narrow ones; MIG and DCI alike."""
    places = [(model, seed) for model in script.GRIDS for seed in SEEDS]
    return study(
        {
            place: {script.GAP: gap, script.AGAIN: gap + 0.1, "mig.score": score, "dci.disentanglement": score}
            for place, gap, score in zip(places, gaps, scores, strict=True)
        }
    )


def test_the_script_knows_the_studies(script: ModuleType) -> None:
    plans = [read_plan(PACKAGE / "examples" / f"{name}.toml") for name in ("rooms", "sprites", "published")]
    assert tuple(plan.name for plan in plans) == script.STUDIES
    for plan in plans:
        assert set(plan.axes) == {"seed", "model"}
        assert {script.GRID, script.NORMAL} <= set(plan.axes["model"]) <= {*script.GRIDS, script.NORMAL}
        asked = {item.id or "": item.metrics or [] for item in plan.evaluate}
        keys = [key for _, key, _ in script.COLUMNS]
        assert {key.partition(".")[0] for key in keys} <= set(asked[""])
    again = {item.id or "": item for item in plans[0].evaluate}["again"]
    assert again.metrics == [script.AGAIN.removeprefix("again/").partition(".")[0]]
    # Of as many other rows of the same split.
    (first, other) = plans[0].evaluate
    assert (other.split, other.rows) == (first.split, first.rows)
    assert other.seed != first.seed


def test_a_grid_is_held_against_the_twin_of_its_seed(script: ModuleType) -> None:
    pairs = {"0": (0.30, 0.20), "1": (0.20, 0.30), "2": (0.204, 0.20), "3": (0.20, 0.203)}
    runs = {
        (model, seed): {"mig.score": pair[side]}
        for seed, pair in pairs.items()
        for side, model in ((0, "grid"), (1, "normal"))
    }
    found = script.twins(study({**runs, ("grid", "4"): {"mig.score": 0.9}}), "mig.score")
    assert script.verdict("MIG", found["outcomes"]) == (
        "- MIG: holds in 1 of 5; fails: 1 of 5 (seed 1); tie: 2 of 5 (seed 2, seed 3); missing: 1 of 5 (seed 4)"
    )
    assert found["mean"] == pytest.approx(mean := float(np.mean([0.1, -0.1, 0.004, -0.003])))
    low, high = found["interval"]
    assert -0.1 <= low < mean < high <= 0.1
    # A run that failed may have been evaluated before.
    failed = record("grid", "0", {"mig.score": 1.0}, "failed")
    assert script.number(failed, "mig.score") is None
    assert script.number(record("grid", "0", {"mig.score": float("nan")}), "mig.score") is None


def test_a_gap_that_tells_widths_apart_alone_shows_nothing(script: ModuleType) -> None:
    # Narrow ones have larger gaps and lower scores; within a width both rise together.
    gaps, scores = [*range(5), *range(10, 15)], [*range(20, 25), *range(5)]
    found = script.correlations(grids(script, gaps, scores), "mig.score")
    assert found["pooled"].value < 0
    assert found["pooled"].value == pytest.approx(-0.5151515)
    assert found["within"].value == pytest.approx(1)
    assert script.shown_by(found) == "not shown"
    # Nothing within a width, and over both an interval below 0.
    unlike = [22, 25, 23, 21, 24, 2, 5, 3, 1, 4]
    found = script.correlations(grids(script, gaps, unlike), "mig.score")
    assert found["pooled"].high < 0
    assert found["within"].value == pytest.approx(0, abs=1e-9)
    assert script.shown_by(found) == "not shown"
    # Both fall together, in each width and over all.
    found = script.correlations(grids(script, gaps, [-gap for gap in gaps]), "mig.score")
    assert (found["pooled"].value, found["within"].value) == (pytest.approx(-1), pytest.approx(-1))
    assert script.shown_by(found) == "holds"
    # Within widths alone: pooled is positive.
    found = script.correlations(grids(script, gaps, [4, 3, 2, 1, 0, 24, 23, 22, 21, 20]), "mig.score")
    assert found["within"].value == pytest.approx(-1)
    assert found["pooled"].value > 0
    assert script.shown_by(found) == "not shown"


def test_an_interval_that_reaches_0_shows_nothing(script: ModuleType) -> None:
    gaps, scores = [0, 1, 2, 3, 4] * 2, [3, 1, 2, 4, 0, 2, 4, 0, 3, 1]
    found = script.correlations(grids(script, gaps, scores), "mig.score")
    assert found["within"].value < 0
    assert found["within"].low < found["within"].value < found["within"].high
    assert found["within"].high > 0
    assert script.shown_by(found) == "not shown"


def test_within_widths_ranks_are_of_the_width(script: ModuleType) -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([2.0, 1.0, 4.0, 3.0, 5.0])
    expected = (0.8 + 0.8) / 2
    assert script.rho_within([(first, second), (100 + first, 1000 * second)]) == pytest.approx(expected)
    assert script.rho_within([(first, np.ones(5))]) is None
    assert script.correlate_within([(first, second)]).note == "too few runs (n = 5, 8 needed)"
    assert script.correlate_within([(first, np.ones(5))] * 2).value is None


def test_a_run_that_is_missing_is_never_counted(script: ModuleType) -> None:
    whole = grids(script, list(range(10)), [-gap for gap in range(10)])
    kept = [run for run in whole.records if run.state == "done" and called(run) != ("grid-narrow", "4")]
    short = study({called(run): run.metrics for run in kept})
    found = script.correlations(short, "mig.score")
    assert script.shown_by(found) == "missing: grid-narrow seed 4"
    assert found["pooled"].n == 9
    assert set(script.selection(short)["outcomes"].values()) == {"missing"}
    assert script.selection(short)["run"] is None


def test_the_lowest_gap_is_held_against_both_medians(script: ModuleType) -> None:
    gaps = [5.0, 6.0, 7.0, 8.0, 9.0, 4.0, 15.0, 16.0, 17.0, 18.0]
    # It is above the median of all, 0.45, and at the median of its width, 0.7.
    found = script.selection(grids(script, gaps, [0.1, 0.2, 0.3, 0.35, 0.4, 0.7, 0.5, 0.6, 0.8, 0.9]))
    assert found["run"] == "grid-narrow seed 0"
    assert [found["outcomes"][f"MIG, {place}"] for place in ("all grids", "its width")] == ["holds", "tie"]
    found = script.selection(grids(script, gaps, [0.1, 0.2, 0.3, 0.35, 0.4, 0.05, 0.5, 0.6, 0.8, 0.9]))
    assert set(found["outcomes"].values()) == {"fails"}


def test_a_study_becomes_a_page(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="none of discrete-rooms, discrete-sprites, discrete-published is here"):
        script.main(["--out", str(tmp_path), "--runs", str(tmp_path)])
    kept, text = script.shown(grids(script, list(range(10)), [0.5 - gap / 100 for gap in range(10)]))
    json.dumps(kept, allow_nan=False)
    assert "| grid | 0.480 ± 0.016 | 0.480 ± 0.016 | - | - | - | - | 2.00 ± 1.58 | 5 |" in text
    assert "| normal | - | - | - | - | - | - | - | 0 |" in text
    assert "| grid-narrow seed 4 | 0.410 | 0.410 | - | - | - | - | 9.00 | done |" in text
    assert "- a small gap goes with MIG: holds" in text
    assert "| the gap of other rows | within | 10 | 1.00 | [1.00, 1.00] |" in text
    assert "- the lowest gap (grid seed 0) is above the median: holds in 4 of 4" in text
    assert text.count("- left out: normal seed") == 5
    assert kept["gap"]["MIG"]["outcome"] == "holds"
    assert kept["runs"]["grid seed 1"][script.AGAIN] == pytest.approx(1.1)
    # A study of which no run is there yet.
    plan = read_plan(PACKAGE / "examples" / "rooms.toml")
    adopt(StudyFolder(tmp_path / plan.name), plan)
    script.main(["--out", str(tmp_path / "out"), "--runs", str(tmp_path)])
    kept = json.loads((tmp_path / "out" / "discrete_study.json").read_text())
    assert list(kept) == ["discrete-rooms"]
    assert {run["state"] for run in kept["discrete-rooms"]["runs"].values()} == {"missing"}
    text = (tmp_path / "out" / "discrete_study.md").read_text()
    assert "MIG of the grid is above that of its twin: holds in 0 of 5; missing: 5 of 5" in text
    assert "## discrete-sprites\n\nNot run." in text
