"""`aerepr evaluate`: which rows are judged, what is kept, and what cannot be meant."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.data.splits import split_rows
from aerepr.errors import DataError, SpecError, UnknownComponent, UsageError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.evaluate import evaluate
from aerepr.workflows.load import load
from aerepr.workflows.train import train
from tests.conftest import tiny_tables


class RowsSpec(ComponentSpec):
    offset: float = 0.0


class Rows(Metric):
    """Which rows it was asked about."""

    Spec = RowsSpec
    needs = "run"
    protocol = "rows counted and summed"

    def __init__(self, spec: RowsSpec) -> None:
        self.offset = spec.offset

    def compute(self, run: RunView) -> dict[str, float]:
        rows = torch.cat([batch.rows for batch in run.evaluated()])
        return {
            "rows.count": float(len(rows)),
            "rows.sum": float(rows.sum()) + self.offset,
            "rows.descents": float((rows.diff() < 0).sum()),
            "rows.train": float(sum(len(batch) for batch in run.batches("train"))),
        }


class Codes(Metric):
    """The shapes it was given."""

    needs = "codes"
    protocol = "shapes"

    def __init__(self, spec: ComponentSpec) -> None: ...

    def compute(self, codes_ND: np.ndarray, classes_NK: np.ndarray | None) -> dict[str, float]:
        return {f"{type(self).__name__.lower()}.rows": float(len(codes_ND))}


class Unsupervised(Codes):
    supervised = False


METRICS = (Rows, Codes, Unsupervised)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to write into, and three metrics more than are installed."""
    monkeypatch.setitem(sys.modules, "metrics_of_a_test", sys.modules[__name__])
    announced = ",".join(f"metrics:{one.__name__.lower()}=metrics_of_a_test:{one.__name__}" for one in METRICS)
    monkeypatch.setenv("AEREPR_PLUGINS", announced)
    return Path(shutil.copytree(tiny_run, tmp_path / "runs" / "tiny" / tiny_run.name))


def classes(tiny_data: Path) -> np.ndarray:
    return np.load(tiny_data)["factors"]


def test_the_test_split_is_judged_once(run: Path, tiny_data: Path) -> None:
    done = evaluate(run, names=["rows"])
    test = split_rows(200)["test"]
    assert done["metrics"]["rows.count"] == len(test) == done["rows"] == done["of"]
    assert done["metrics"]["rows.sum"] == test.sum()
    assert done["metrics"]["rows.train"] == 140
    # In random order, so that a metric may fit on the first of them.
    assert 10 < done["metrics"]["rows.descents"] < 30


def test_a_subset_of_another_split(run: Path, tiny_data: Path) -> None:
    done = evaluate(run, names=["rows"], split="train", subset=["column=[2, 4]", "width=1"])
    rows = split_rows(200)["train"]
    found = classes(tiny_data)[rows]
    wanted = rows[np.isin(found[:, 0], [2, 4]) & (found[:, 2] == 1)]
    assert 0 < len(wanted) == done["metrics"]["rows.count"]
    assert done["metrics"]["rows.sum"] == wanted.sum()
    assert done["subset"] == {"column": [2, 4], "width": [1]}
    assert done["out"] == str(run / "evaluation" / "train-column=2,4-width=1.json")


def test_rows_are_a_choice_that_runs_share(run: Path) -> None:
    few, all_ = (evaluate(run, names=["rows"], rows=rows) for rows in (7, None))
    assert (few["rows"], few["of"], all_["rows"]) == (7, 40, 40)
    again = evaluate(run, names=["rows"], rows=7)
    assert again["metrics"] == few["metrics"]
    assert few["metrics"]["rows.sum"] < all_["metrics"]["rows.sum"]


def test_the_numbers_are_those_of_the_model(run: Path, tiny_data: Path) -> None:
    done = evaluate(run)
    test = split_rows(200)["test"]
    images = np.load(tiny_data)["images"][test]
    expected = float(((images / 255 - load(run).reconstruct(images)) ** 2).mean())
    assert done["metrics"]["reconstruction.mse"] == pytest.approx(expected, rel=1e-5)
    assert set(done["metrics"]) == {"reconstruction.mse", "reconstruction.bce"}
    assert load(run).evaluate() == done["metrics"]
    assert load(run).evaluate(["rows"], "valid", {"width": [0]}, 3)["rows.count"] == 3


def test_the_file_says_what_was_computed_and_how(run: Path) -> None:
    evaluate(run, names=["reconstruction"])
    evaluate(run, names=["rows"], rows=5, sets=["rows.offset=0.5"])
    (path,) = (run / "evaluation").iterdir()
    found = json.loads(path.read_text())
    assert path.name == "test.json"
    card = json.loads((run / "model" / "card.json").read_text())
    assert (found["split"], found["subset"], found["step"]) == ("test", {}, 10)
    assert found["spec_hash"] == card["spec_hash"]
    # The metrics of two commands stand side by side, each with its own rows.
    assert set(found["metrics"]) == {"reconstruction", "rows"}
    assert found["metrics"]["rows"]["rows"] == 5
    assert found["metrics"]["rows"]["settings"] == {"offset": 0.5}
    assert found["metrics"]["reconstruction"]["rows"] == 40
    assert "nats an image" in found["metrics"]["reconstruction"]["protocol"]
    # Of other weights nothing is kept.
    path.write_text(json.dumps({**found, "step": 9}))
    evaluate(run, names=["rows"])
    assert set(json.loads(path.read_text())["metrics"]) == {"rows"}


def test_metrics_of_codes_share_a_pass_and_may_need_factors(run: Path, tiny_vector_run: Path) -> None:
    assert evaluate(run, names=["codes", "unsupervised"])["metrics"] == {"codes.rows": 40.0, "unsupervised.rows": 40.0}
    with pytest.raises(DataError, match="needs ground-truth factors"):
        load(tiny_vector_run).evaluate(["codes"])
    assert load(tiny_vector_run).evaluate(["unsupervised"]) == {"unsupervised.rows": 40.0}
    assert set(load(tiny_vector_run).evaluate()) == {"reconstruction.mse"}


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"subset": ["width=[]"]}, UsageError, r"found no rows with width = \[\]"),
        ({"subset": ["wdth=[1]"]}, UsageError, 'no factor named .*did you mean "width"'),
        ({"subset": ["width=[9]"]}, UsageError, "found class 9 for factor 'width', expected whole numbers 0..2"),
        ({"subset": ["width=big"]}, UsageError, r"class indices such as width=\[0, 2\], got width='big'"),
        ({"subset": ["width"]}, UsageError, "--subset: expected key=value"),
        ({"split": "dev"}, UsageError, 'expected train, valid, test, got "dev"'),
        ({"rows": 0}, UsageError, "rows: expected 1 or more"),
        ({"names": []}, UsageError, "name at least one metric"),
        ({"names": ["recon"]}, UnknownComponent, 'no metric named "recon"'),
        ({"sets": ["rows.offset=1"]}, UsageError, "one of the metrics computed: reconstruction"),
        ({"sets": ["reconstruction=1"]}, UsageError, "expected metric.key=value"),
        ({"sets": ["reconstruction.scale=1"]}, SpecError, "unknown setting"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_error(run: Path, asked, error, message) -> None:
    with pytest.raises(error, match=message):
        evaluate(run, **asked)
    assert not (run / "evaluation").exists()


def test_a_subset_that_selects_no_image_of_the_split(run: Path, tiny_data: Path) -> None:
    found = classes(tiny_data)
    valid = {tuple(row) for row in found[split_rows(200)["valid"]]}
    column, row, width = next(tuple(row) for row in found if tuple(row) not in valid)
    subset = {"column": [int(column)], "row": [int(row)], "width": [int(width)]}
    message = rf"valid split with column = \[{column}\], row = .* selects no example"
    with pytest.raises(UsageError, match=message):
        evaluate(run, split="valid", subset=subset)


def test_other_data_than_the_run_was_trained_on(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = dict(np.load(tiny_data))
    for name, images in (("here", stored["images"]), ("there", stored["images"][:, :8, :8])):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "x.npz", images=images)
    monkeypatch.chdir(tmp_path / "here")
    tables = tiny_tables({"name": "npz", "path": "x.npz", "images": "images"})
    run = train(spec_from_tables(tables, ["train.steps=1"]), runs=tmp_path / "runs")
    assert evaluate(run)["rows"] == 40
    with pytest.raises(DataError, match="image 1x8x8, 0 factors, expected what the run was trained on: image 1x16x16"):
        evaluate(run, folder=tmp_path / "there")
    with pytest.raises(DataError, match="pass --folder DIR"):
        evaluate(run, folder=tmp_path / "gone")
