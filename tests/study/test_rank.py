"""Runs by a score: their order, and rank correlations with n and an interval, never across what cannot be compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from aerepr.errors import UsageError
from aerepr.study import formats
from aerepr.study.rank import as_json, as_lines, as_sheets, average_ranks, correlate, rank, spearman
from aerepr.study.record import Record, Study


def run(
    seed: int, udr: float | None, mig: float | None = None, state: str = "done", folder: Path | None = None, **more
):
    metrics = {"udr.lasso": udr, "udr.spearman": udr, "mig.score": mig}
    found = {
        "error": "",
        "metrics": {key: value for key, value in metrics.items() if value is not None},
        "protocols": {"udr": "alpha 0.1", "mig": "20 bins"},
        "refused": {},
        **more,
    }
    return Record({"seed": str(seed)}, "0" * 64, state, folder, **found)


def study(*records: Record) -> Study:
    return Study("small", {axis: [] for axis in records[0].levels}, list(records))


def text(found) -> str:
    return formats.as_text(*as_sheets(found))


def order(found) -> list[str]:
    return [record.levels["seed"] for record in found.groups[0].records]


def test_ranks_share_their_mean_where_values_are_equal():
    assert average_ranks([3.0, 1.0, 3.0, 3.0, 2.0]).tolist() == [4, 1, 4, 4, 2]
    values = np.random.Generator(np.random.PCG64(0)).integers(0, 5, size=(20, 30)).astype(float)
    for row in values:
        assert average_ranks(row).tolist() == stats.rankdata(row).tolist()
    # An infinite value has a rank like any other.
    assert average_ranks([math.inf, 0.0, -math.inf]).tolist() == [3, 2, 1]


def test_spearman_by_hand_and_against_scipy():
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 (1 + 1 + 1 + 1) / (4 (16 - 1)) = 0.6.
    assert spearman([10, 20, 30, 40], [2.5, 1.5, 9.0, 3.0]) == pytest.approx(0.6)
    generator = np.random.Generator(np.random.PCG64(1))
    for _ in range(20):
        a, b = generator.integers(0, 6, size=(2, 15))
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_below_eight_runs_there_is_no_correlation():
    few = correlate(np.arange(7), np.arange(7))
    assert (few.value, few.low, few.n) == (None, None, 7)
    assert few.note == "too few runs (n = 7, 8 needed)"
    assert correlate(np.arange(8), np.arange(8)).value == pytest.approx(1.0)


def test_the_interval_is_that_of_a_percentile_bootstrap():
    generator = np.random.Generator(np.random.PCG64(2))
    a = generator.normal(size=40)
    b = a + generator.normal(size=40)
    found = correlate(a, b, resamples=2000, seed=3)
    again = correlate(a, b, resamples=2000, seed=3)
    assert found == again != correlate(a, b, resamples=2000, seed=4)
    rows = np.random.Generator(np.random.PCG64(3)).integers(0, 40, size=(2000, 40))
    drawn = [stats.spearmanr(a[chosen], b[chosen]).statistic for chosen in rows]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    # Another library's own draws give the same, within the noise of 2,000 of them.
    other = stats.bootstrap(
        (a, b),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.04)
    assert found.low < found.value < found.high


def test_resamples_without_a_correlation_are_counted():
    # All but one equal: a resample without that one has no order.
    found = correlate([0.0] * 9 + [1.0], range(10), resamples=1000, seed=0)
    expected = sum(9 not in rows for rows in np.random.Generator(np.random.PCG64(0)).integers(0, 10, size=(1000, 10)))
    assert found.degenerate == expected > 300  # (9 / 10)^10 = 0.35
    assert found.note == f"{expected} of 1000 resamples, with equal values alone, left out"
    assert correlate([0.0] * 10, range(10)).note == "not defined: the values of one side are all equal"

    # Where they are most of them, what is left says nothing.
    def kept(seed: int) -> int:
        return sum(9 in rows for rows in np.random.Generator(np.random.PCG64(seed)).integers(0, 10, size=(5, 10)))

    seed = next(seed for seed in range(100) if kept(seed) == 2)
    most = correlate([0.0] * 9 + [1.0], [0.0] * 9 + [1.0], resamples=5, seed=seed)
    assert most.value == 1.0
    assert (most.low, most.high) == (None, None)
    assert most.note.startswith("no interval: in 3 of 5 resamples")


def test_runs_are_ordered_highest_first():
    found = study(run(0, 0.2), run(1, 0.5), run(2, 0.2), run(3, 0.9))
    # Equal scores stay in the order of the study.
    assert order(rank(found, "udr.lasso", [])) == ["3", "1", "0", "2"]
    assert order(rank(found, "udr.lasso", [], ascending=True)) == ["0", "2", "1", "3"]
    shown = text(rank(found, "udr.lasso", []))
    assert "small: 4 runs by udr.lasso, highest first" in shown
    assert "lowest first" in text(rank(found, "udr.lasso", [], ascending=True))


def test_a_metric_alone_means_its_score_or_its_first_number():
    found = study(run(0, 0.2, 0.4), run(1, 0.5, 0.1))
    assert rank(found, "udr", []).by == "udr.lasso"
    assert rank(found, "mig", []).by == "mig.score"
    assert rank(found, "udr", ["mig"]).against == ["mig.score"]
    assert rank(found, "mig", ["all"]).against == ["udr.lasso", "udr.spearman"]
    with pytest.raises(UsageError, match='no number "urd" in this study .*"udr"'):
        rank(found, "urd", [])
    refused = study(run(0, None, 0.4, protocols={"mig": ""}, refused={"udr": "compares runs"}))
    with pytest.raises(UsageError, match="no run of this study has udr: compares runs"):
        rank(refused, "udr", [])


def test_runs_without_a_place_are_told_and_never_dropped():
    found = rank(
        study(
            run(0, 0.2),
            run(1, math.nan),
            run(2, None, refused={"udr": "udr: no factors"}),
            run(3, None, state="failed", error="loss is not finite"),
            run(4, None, state="missing"),
            run(5, math.inf),
        ),
        "udr.lasso",
        [],
    )
    assert order(found) == ["5", "0"]
    shown = text(found)
    assert "without a place: seed=1: udr.lasso is nan" in shown
    assert "without a place: seed=2: no udr.lasso: no factors" in shown
    assert "without a place: seed=3: failed: loss is not finite" in shown
    assert "without a place: seed=4: missing" in shown
    assert len(as_json(found)["unranked"]) == 4
    json.dumps(as_json(found), allow_nan=False)


def many(count: int = 9, **more) -> list[Record]:
    generator = np.random.Generator(np.random.PCG64(5))
    return [run(seed, udr, mig, **more) for seed, (udr, mig) in enumerate(generator.random((count, 2)))]


def test_correlation_with_n_interval_and_protocols():
    records = many()
    found = rank(study(*records), "udr", ["mig"], resamples=500, seed=1)
    (item,) = found.groups[0].correlations
    pairs = [(record.metrics["udr.lasso"], record.metrics["mig.score"]) for record in records]
    assert item.rho.value == pytest.approx(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    shown = text(found)
    assert f"mig.score   9   {item.rho.value:.2f}   [{item.rho.low:.2f}, {item.rho.high:.2f}]" in shown
    assert "percentiles of 500 resamples of the runs (bootstrap, seed 1)" in shown
    assert "udr.lasso: alpha 0.1" in shown
    assert "mig.score: 20 bins" in shown
    (told,) = as_json(found)["groups"][0]["correlations"]
    assert (told["n"], told["rho"], told["interval"]) == (9, item.rho.value, [item.rho.low, item.rho.high])


def test_too_few_runs_is_said_instead_of_a_correlation():
    shown = text(rank(study(*many(7)), "udr", ["mig"]))
    assert "mig.score   7   too few runs" in shown
    assert "mig.score: too few runs (n = 7, 8 needed)" in shown
    assert "resamples" not in shown


def test_runs_without_the_other_number_are_counted():
    found = rank(study(*many(9), run(9, 0.3), run(10, 0.4, math.nan)), "udr", ["mig"])
    (item,) = found.groups[0].correlations
    assert (item.rho.n, item.without) == (9, 2)
    assert "mig.score: 2 of the runs have no such number" in text(found)


def of_spec(
    records: list[Record], folder: Path, level: dict[str, str], data=None, model=None, schedules=()
) -> list[Record]:
    """The records as those of runs with such a spec; its level is how the study calls them."""
    folder.mkdir()
    kl = {"likelihood": {"name": "bernoulli"}, "regularizers": [{"name": "kl", "id": "kl", "weight": 1.0}]}
    spec = {"data": data or {"name": "rooms"}, "model": kl | (model or {}), "train": {"schedules": list(schedules)}}
    (folder / "spec.resolved.json").write_text(json.dumps(spec))
    return [replace(item, levels={**level, **item.levels}, run=folder) for item in records]


def test_runs_on_other_data_are_never_correlated_together(tmp_path):
    # Within each data set udr and mig go against each other; over both together they would go along.
    one = [run(seed, 0.1 + 0.01 * seed, 0.1 - 0.01 * seed) for seed in range(8)]
    two = [run(seed, 0.8 + 0.01 * seed, 0.8 - 0.01 * seed) for seed in range(8)]
    records = [
        *of_spec(one, tmp_path / "a", {"data": "rooms"}),
        *of_spec(two, tmp_path / "b", {"data": "squares"}, data={"name": "squares"}),
    ]
    assert spearman([r.metrics["udr.lasso"] for r in records], [r.metrics["mig.score"] for r in records]) > 0.4
    found = rank(study(*records), "udr", ["mig"])
    assert [group.of for group in found.groups] == ["data=rooms", "data=squares"]
    assert [item.rho.value for group in found.groups for item in group.correlations] == [pytest.approx(-1.0)] * 2
    shown = text(found)
    assert "small, data=squares: 8 runs by udr.lasso" in shown
    assert (
        "runs on other data, of other weights or likelihoods, or whose numbers came about in another way, are" in shown
    )


WEIGHED = [{"name": "kl", "id": "kl", "weight": 4.0}]
RISING = {"target": "model.regularizers.kl.weight", "kind": "linear", "from": 0.0, "to": 1.0}


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"regularizers": WEIGHED}},
        {"model": {"regularizers": []}},
        {"model": {"likelihood": {"name": "gaussian"}}},
        {"schedules": [RISING]},
    ],
    ids=["weight", "term", "likelihood", "schedule"],
)
def test_runs_of_other_weights_are_never_ordered_together_unless_asked(other, tmp_path):
    one = of_spec(many(8), tmp_path / "a", {"beta": "1"})
    two = of_spec(many(8), tmp_path / "b", {"beta": "4"}, **other)
    apart = rank(study(*one, *two), "udr", ["mig"])
    assert [(group.of, len(group.records)) for group in apart.groups] == [("beta=1", 8), ("beta=4", 8)]
    assert [item.rho.n for group in apart.groups for item in group.correlations] == [8, 8]
    (group,) = rank(study(*one, *two), "udr", ["mig"], across_weights=True).groups
    assert (group.of, group.correlations[0].rho.n) == ("", 16)


def test_runs_that_differ_in_what_is_no_weight_are_ordered_together(tmp_path):
    lr = {"target": "train.optimizer.lr", "kind": "cosine", "from": 1e-3, "to": 0.0}
    one = of_spec(many(8), tmp_path / "a", {"width": "16"})
    two = of_spec(many(8), tmp_path / "b", {"width": "32"}, model={"encoder": {"width": 32}}, schedules=[lr])
    assert [group.of for group in rank(study(*one, *two), "udr", []).groups] == [""]


def test_numbers_that_came_about_in_other_ways_are_never_correlated_together():
    other = [run(10 + seed, seed / 9, seed / 9, protocols={"udr": "alpha 0.2", "mig": "20 bins"}) for seed in range(8)]
    apart = rank(study(*many(8), *other), "udr", ["mig"])
    assert [len(group.records) for group in apart.groups] == [8, 8]
    # Of the other number: one order, two correlations.
    other = [run(10 + seed, seed / 9, seed / 9, protocols={"udr": "alpha 0.1", "mig": "30 bins"}) for seed in range(8)]
    parted = rank(study(*many(9), *other), "udr", ["mig"])
    (group,) = parted.groups
    assert [item.rho.n for item in group.correlations] == [9, 8]
    assert [item.protocol for item in group.correlations] == ["20 bins", "30 bins"]
    shown = text(parted)
    assert "seed=10; seed=11" in shown
    assert any(line.endswith(": 30 bins") and line.startswith("mig.score (seed=10") for line in shown.splitlines())


def test_csv_has_the_runs_in_order():
    header, lines = as_lines(rank(study(run(0, 0.2, 0.1), run(1, 0.5)), "udr", ["mig"]))
    assert header == ["of", "place", "seed", "udr.lasso", "mig.score", "run"]
    assert lines == [["", 1, "1", 0.5, None, None], ["", 2, "0", 0.2, 0.1, None]]


def test_fewer_than_two_resamples_are_refused():
    with pytest.raises(UsageError, match="resamples: expected 2 or more, got 1"):
        rank(study(run(0, 0.1)), "udr", [], resamples=1)
