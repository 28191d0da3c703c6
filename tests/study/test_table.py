"""The table of a study, from records made by hand: what is averaged, what must not be, and how it reads."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from aerepr.errors import UsageError
from aerepr.study import formats
from aerepr.study.record import Record, Study
from aerepr.study.table import as_json, as_lines, as_sheet, chosen, standing, table
from aerepr.workflows.study_results import _with_absent

HOW = {"mig": "20 bins", "dci": "lasso"}


def record(recipe: str, seed: int, state: str = "done", run: Path | None = None, **more) -> Record:
    """One run; `metrics` are those of a done one."""
    found = {"error": "", "metrics": {}, "protocols": dict(HOW), "refused": {}, **more}
    return Record({"recipe": recipe, "seed": str(seed)}, "0" * 64, state, run, **found)


def study(*records: Record) -> Study:
    axes: dict[str, list[str]] = {}
    for item in records:
        for axis, level in item.levels.items():
            axes.setdefault(axis, [])
            axes[axis] += [level] * (level not in axes[axis])
    return Study("small", axes, list(records))


def numbers(mig: float, completeness: float = 0.5) -> dict[str, float]:
    return {"mig.score": mig, "dci.disentanglement": mig / 2, "dci.completeness": completeness}


def with_data(folder: Path, **data) -> Path:
    """A run directory as far as its data is concerned."""
    folder.mkdir(parents=True)
    (folder / "spec.resolved.json").write_text(json.dumps({"data": {"split_seed": 0, "gallery": 10, **data}}))
    return folder


@pytest.fixture
def plain() -> Study:
    return study(
        *(record("AE", seed, metrics=numbers(mig)) for seed, mig in enumerate([0.1, 0.2, 0.6])),
        record("VAE", 0, metrics=numbers(0.5)),
        record("VAE", 1, "failed", error="loss is not finite at step 7"),
        record("VAE", 2, "missing"),
    )


def text(found: Study, *arguments, width: int | None = None) -> str:
    sheet, notes = as_sheet(table(found, *arguments))
    return formats.as_text([sheet], notes, width)


def test_mean_and_sample_deviation_over_seeds(plain):
    found = table(plain, ["mig.score"])
    assert found.pooled == ["seed"]
    ae, vae = (row.cells["mig.score"] for row in found.rows)
    # (0.1 + 0.2 + 0.6) / 3 = 0.3, and ((0.2)^2 + (0.1)^2 + (0.3)^2) / 2 = 0.07.
    assert (ae.mean, ae.deviation, ae.n) == (pytest.approx(0.3), pytest.approx(math.sqrt(0.07)), 3)
    assert ae.deviation == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    # One run has no deviation.
    assert (vae.mean, vae.deviation, vae.n) == (0.5, None, 1)
    assert ae.values == {"seed=0": 0.1, "seed=1": 0.2, "seed=2": 0.6}


def test_runs_that_are_not_done_are_told_and_never_dropped(plain):
    shown = text(plain)
    assert "small: 4 of 6 runs done, 1 failed, 1 missing" in shown
    row = next(line for line in shown.splitlines() if line.startswith("VAE"))
    assert "1 of 3, 1 failed, 1 missing" in row
    assert "0.5000" in row
    assert "failed: recipe=VAE, seed=1: loss is not finite at step 7" in shown
    assert as_json(table(plain))["rows"][1]["runs"] == {
        **{"planned": 3, "done": 1, "failed": 1, "interrupted": 0, "running": 0, "missing": 1}
    }
    empty = study(record("AE", 0, "missing"), record("AE", 1, "running"), record("AE", 2, "interrupted"))
    assert "0 of 3, 1 interrupted, 1 running, 1 missing" in text(empty)


def test_a_failed_run_with_numbers_is_not_averaged():
    # Its evaluation failed after the first table: what there is, is of a run that is not done.
    found = study(record("AE", 0, metrics=numbers(0.1)), record("AE", 1, "failed", metrics=numbers(0.9)))
    cell = table(found).rows[0].cells["mig.score"]
    assert (cell.mean, cell.n) == (0.1, 1)


def test_states_in_words():
    states = {"done": 3, "failed": 1, "interrupted": 0, "running": 0, "missing": 1}
    assert standing(states) == "3 of 5, 1 failed, 1 missing"
    assert standing(dict.fromkeys(states, 0) | {"done": 5}) == "5"


def test_columns_are_chosen_and_ordered(plain):
    # One number of each metric: its score, or the first.
    assert chosen(plain, None) == ["mig.score", "dci.disentanglement"]
    assert chosen(plain, ["dci", "mig.score", "dci.completeness"]) == [
        *("dci.disentanglement", "dci.completeness", "mig.score")
    ]
    assert chosen(plain, ["all"]) == ["mig.score", "dci.disentanglement", "dci.completeness"]
    with pytest.raises(UsageError, match=r'"mig.scor" .*mean "mig.score".*: mig.score, dci.disentanglement, dci.comp'):
        chosen(plain, ["mig.scor"])
    with pytest.raises(UsageError, match="no run of this study is evaluated yet"):
        chosen(study(record("AE", 0, "missing")), ["mig.score"])
    assert "not shown: dci.completeness; see --metrics" in text(plain)
    assert "not shown" not in text(plain, ["all"])


def test_a_score_stands_for_its_metric_wherever_it_comes():
    keys = {"tc.gaussian": 1.0, "tc.score": 2.0, "held-out/tc.gaussian": 1.0, "fv.train@gen": 0.5, "fv.score@gen": 0.6}
    protocols = {"tc": "", "held-out/tc": "", "fv@gen": ""}
    found = study(record("AE", 0, metrics=keys, protocols=protocols))
    assert chosen(found, None) == ["tc.score", "held-out/tc.gaussian", "fv.score@gen"]
    assert chosen(found, ["fv@gen", "held-out/tc"]) == ["fv.train@gen", "fv.score@gen", "held-out/tc.gaussian"]


def test_other_axes_are_pooled_only_where_asked(plain):
    found = table(plain, ["mig.score"], ["seed"])
    assert found.pooled == ["recipe"]
    assert [row.levels for row in found.rows] == [{"seed": "0"}, {"seed": "1"}, {"seed": "2"}]
    assert found.rows[0].cells["mig.score"].values == {"recipe=AE": 0.1, "recipe=VAE": 0.5}
    every = table(plain, ["mig.score"], ["recipe", "seed"])
    assert [row.cells["mig.score"].n for row in every.rows] == [1, 1, 1, 1, 0, 0]
    assert "over" not in text(plain, ["mig.score"], ["recipe", "seed"])
    with pytest.raises(UsageError, match='no axis "sed" in this study; there are: recipe, seed'):
        table(plain, None, ["sed"])


def test_numbers_that_came_about_in_other_ways_are_not_averaged():
    found = study(
        record("AE", 0, metrics=numbers(0.1), protocols={"mig": "100 rows", "dci": "lasso"}),
        record("AE", 1, metrics=numbers(0.3), protocols={"mig": "200 rows", "dci": "lasso"}),
        record("VAE", 0, metrics=numbers(0.4), protocols={"mig": "100 rows", "dci": "lasso"}),
    )
    cells = table(found).rows[0].cells
    assert (cells["mig.score"].mean, cells["mig.score"].mixed) == (None, True)
    assert cells["mig.score"].values == {"seed=0": 0.1, "seed=1": 0.3}
    assert cells["dci.disentanglement"].mean == pytest.approx(0.1)
    shown = text(found)
    assert "not pooled [1]" in shown
    assert "[1] mig.score is not averaged: these runs came by it in 2 ways, told below" in shown
    # A protocol of some rows alone says of which; one of all rows does not.
    assert "mig (recipe=AE): 200 rows" in shown
    assert "\nmig: 100 rows" in shown
    assert "\ndci: lasso" in shown


def test_runs_on_other_data_are_not_averaged(tmp_path):
    def on(recipe: str, data: str, seed: int, mig: float) -> Record:
        run = with_data(tmp_path / f"{recipe}-{data}-{seed}", name=data, gallery=seed)
        found = record(recipe, seed, run=run, metrics=numbers(mig))
        return Record({"data": data, **found.levels}, *list(vars(found).values())[1:])

    found = study(*(on("AE", data, seed, 0.1 * seed) for data in ("rooms", "squares") for seed in (1, 2)))
    # The gallery, which says what is kept with a run, makes no other data.
    assert [row.cells["mig.score"].mean for row in table(found).rows] == [pytest.approx(0.15)] * 2
    pooled = table(found, ["mig.score"], ["recipe"]).rows[0].cells["mig.score"]
    assert (pooled.mean, pooled.n, pooled.mixed) == (None, 4, True)
    assert "different data; name the axis of the data with --rows" in text(found, ["mig.score"], ["recipe"])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_not_finite_is_shown_and_not_averaged(value):
    found = study(*(record("AE", seed, metrics=numbers(mig)) for seed, mig in enumerate([0.1, value, 0.3])))
    cell = table(found).rows[0].cells["mig.score"]
    assert (cell.mean, cell.deviation, cell.n) == (None, None, 3)
    shown = text(found)
    assert "1 of 3 not finite [1]" in shown
    assert f"[1] mig.score is not averaged: {value} (seed=1); the other 2: 0.20 ± 0.14" in shown
    written = json.dumps(as_json(table(found)), allow_nan=False)
    assert f'"seed=1": "{value}"' in written
    alone = study(record("AE", 0, metrics=numbers(value)))
    assert f" {value}" in text(alone, ["mig.score"])


def test_a_refusal_is_a_dash_with_its_reason():
    reason = 'mig: metric "mig" needs ground-truth factors'
    without = {"dci.completeness": 0.5}
    found = study(
        record("AE", 0, metrics=numbers(0.1)),
        record("AE", 1, metrics=without, refused={"mig": reason}),
        record("VAE", 0, metrics=without, refused={"mig": reason}),
        record("VAE", 1, metrics=without, refused={"mig": reason}),
    )
    lines = text(found, ["mig.score"]).splitlines()
    # Of some runs alone: the mean of the others, with their number.
    assert "0.1000 (n = 1) [1]" in next(line for line in lines if line.startswith("AE"))
    assert '[1] no mig.score, of seed=1: metric "mig" needs ground-truth factors' in lines
    assert " - [2]" in next(line for line in lines if line.startswith("VAE"))
    assert '[2] no mig.score: metric "mig" needs ground-truth factors' in lines
    # A metric that no run has is told of once, and has a column only where it is asked for.
    nowhere = study(*(record("AE", seed, metrics=without, refused={"mig": reason}) for seed in (0, 1)))
    assert 'mig: computed on no run: metric "mig" needs ground-truth factors' in text(nowhere)
    assert table(nowhere, ["mig"]).rows[0].cells["mig"].n == 0


def test_a_number_that_a_run_lacks_without_a_reason_is_told():
    found = study(record("AE", 0, metrics=numbers(0.1)), record("AE", 1, metrics={}))
    assert "[1] no mig.score, of seed=1: it was not computed" in text(found)


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [
        (0.12345, 0.0123, "0.123 ± 0.012"),
        (0.12345, None, "0.1235"),
        (0.0, 0.0, "0.000 ± 0.000"),
        (12.345, None, "12.35"),
        (1234.5, 210.0, "1234 ± 210"),
        (-0.5, 0.25, "-0.50 ± 0.25"),
        # Runs that hardly differ: six digits of the mean, and a deviation that is not 0.
        (0.5, 1e-12, "0.500000 ± 1.0e-12"),
        (1.5e-7, 2.5e-8, "(1.50 ± 0.25)e-07"),
        (1.5e-7, None, "1.500e-07"),
        (2.0e9, 1.0e8, "(2.00 ± 0.10)e+09"),
        # A mean that is small beside its deviation.
        (1e-5, 0.1, "0.00 ± 0.10"),
    ],
)
def test_numbers_are_shown_to_two_digits_of_the_deviation(mean, deviation, expected):
    assert formats.spread(mean, deviation) == expected


def test_csv_has_every_number_in_full_with_its_protocol(plain):
    lines = list(csv.DictReader(io.StringIO(formats.as_csv(*as_lines(table(plain))))))
    assert [(line["recipe"], line["metric"], line["n"]) for line in lines] == [
        ("AE", "mig.score", "3"),
        ("AE", "dci.disentanglement", "3"),
        ("VAE", "mig.score", "1"),
        ("VAE", "dci.disentanglement", "1"),
    ]
    assert float(lines[0]["sd"]) == np.std([0.1, 0.2, 0.6], ddof=1)
    assert lines[2]["sd"] == ""
    assert (lines[2]["planned"], lines[2]["done"], lines[2]["failed"], lines[2]["missing"]) == ("3", "1", "1", "1")
    assert lines[0]["protocol"] == "20 bins"
    assert [line["errors"] for line in lines] == ["", "", *["seed=1: loss is not finite at step 7"] * 2]


def test_csv_has_a_line_for_a_row_without_a_number():
    failed = [record("AE", seed, "failed", error=f"why {seed}") for seed in (0, 1)]
    found = study(*failed, record("VAE", 0, "missing"), record("VAE", 1, "interrupted"))
    lines = list(csv.DictReader(io.StringIO(formats.as_csv(*as_lines(table(found))))))
    assert [(line["recipe"], line["metric"], line["mean"], line["n"]) for line in lines] == [
        ("AE", "", "", ""),
        ("VAE", "", "", ""),
    ]
    assert [(line["planned"], line["done"], line["failed"], line["missing"]) for line in lines] == [
        ("2", "0", "2", "0"),
        ("2", "0", "0", "1"),
    ]
    assert [line["errors"] for line in lines] == ["seed=0: why 0; seed=1: why 1", ""]


def test_json_has_the_values_of_every_seed(plain):
    found = json.loads(json.dumps(as_json(table(plain)), allow_nan=False))
    assert found["rows"][0]["metrics"]["mig.score"]["values"] == {"seed=0": 0.1, "seed=1": 0.2, "seed=2": 0.6}
    assert found["rows"][0]["metrics"]["mig.score"]["sd"] == np.std([0.1, 0.2, 0.6], ddof=1)
    assert found["protocols"]["mig"] == [{"protocol": "20 bins", "rows": [{"recipe": "AE"}, {"recipe": "VAE"}]}]
    assert found["failed"] == [{"levels": {"recipe": "VAE", "seed": "1"}, "error": "loss is not finite at step 7"}]


def test_a_narrow_terminal_gets_its_columns_in_pieces():
    keys = {f"metric{number}.score": number / 10 for number in range(8)}
    found = study(*(record("AE", seed, metrics=keys, protocols={}) for seed in (0, 1)))
    wide, narrow = text(found), text(found, width=60)
    assert wide.count("recipe") == 1
    table_lines = narrow.split("mean ±")[0].splitlines()
    assert max(map(len, table_lines)) <= 60
    assert narrow.count("recipe") > 2
    # Nothing is folded or cut.
    assert all(narrow.count(key) == 1 for key in keys)
    assert narrow.count("0.3000 ± 0.0000") == 1


def test_markdown(plain):
    sheet, notes = as_sheet(table(plain, ["mig.score"]))
    sheet.rows[0][0] = "A|E"
    lines = formats.as_markdown([sheet], notes).splitlines()
    assert lines[2:5] == [
        "| recipe | n | mig.score |",
        "| --- | --- | ---: |",
        "| A\\|E | 3 | 0.30 ± 0.26 |",
    ]
    assert "- mig: 20 bins" in lines


def test_latex_is_escaped_and_balanced():
    found = study(*(record("a_b & 50%", seed, metrics={"mig.score": -(seed + 1) * 1e-7}) for seed in (0, 1)))
    found = Study("x_1", found.axes, found.records)
    sheet, notes = as_sheet(table(found))
    lines = formats.as_latex([sheet], [*notes, r"path\to {it} 1 < 2 ~ ^ # $"]).splitlines()
    assert r"\begin{tabular}{llr}" in lines
    assert r"recipe & n & mig.score \\" in lines
    assert r"a\_b \& 50\% & 2 & ($-$1.50 $\pm$ 0.71)$\times 10^{-7}$ \\" in lines
    assert r"path\textbackslash{}to \{it\} 1 $<$ 2 \textasciitilde{} \textasciicircum{} \# \$\par" in lines
    assert lines.count(r"\toprule") == lines.count(r"\midrule") == lines.count(r"\bottomrule") == 1
    marked = formats.as_latex([formats.Sheet("", ["a", "b"], [["x", "- [1]"]], 1)], ["[1] why"])
    assert r"x & - {[}1{]} \\" in marked


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageError, match='format: expected text, json, csv, markdown, latex, got "html"'):
        formats.checked("html")


def test_a_number_that_a_model_cannot_have_says_why(tmp_path: Path) -> None:
    judged = {f"judged/frechet.{name}@features=judge": 1.0 for name in ("reconstruction", "prior")}
    how = {"judged/frechet": "by the judge"}
    prior, reconstruction = sorted(judged)
    found = study(
        record("AE", 0, metrics={reconstruction: 2.0}, protocols=how),
        record("VAE", 0, metrics=judged, protocols=how),
        # Not asked of this run at all.
        record("WAE", 0, metrics={}, protocols={}),
    )
    shown = text(_with_absent(found), [prior])
    assert f"no {prior}: there is no prior that the model was trained towards" in shown
    assert f"no {prior}: it was not computed" in shown
    row = next(line for line in shown.splitlines() if line.startswith("AE"))
    assert row.split()[2:] == ["-", "[1]"]
