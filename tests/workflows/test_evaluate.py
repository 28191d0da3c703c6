"""`aerepr evaluate`: which rows are judged, what is kept, and what cannot be meant."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from aerepr.builtin.encoders.conv import ConvEncoder
from aerepr.data.splits import split_rows
from aerepr.errors import DataError, RunDirectoryError, SpecError, UnknownComponent, UsageError
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.metrics import beta_vae_generative, factor_vae_generative, mig
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


class Dear(Codes):
    """Computed only where it is named."""

    on_request = "takes a week"

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        return [f"{numbers['dear.rows']:.0f} rows are many"]


class Between(Codes):
    """Of several runs: never of one."""

    needs = "runs"


class Soft(Rows):
    """Of a posterior that the tiny run has not."""

    modes = ("soft",)


METRICS = (Rows, Codes, Unsupervised, Dear, Between, Soft)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to write into, and metrics more than are installed."""
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
    done = evaluate(run, names=["reconstruction", "mig"])
    test = split_rows(200)["test"]
    images = np.load(tiny_data)["images"][test]
    expected = float(((images / 255 - load(run).reconstruct(images)) ** 2).mean())
    assert done["metrics"]["reconstruction.mse"] == pytest.approx(expected, rel=1e-5)
    assert {key.partition(".")[0] for key in done["metrics"]} == {"reconstruction", "mig"}
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(test))
    gap = mig(load(run).encode(images)[order], classes(tiny_data)[test][order]).score
    assert done["metrics"]["mig.score"] == pytest.approx(gap, abs=1e-6)
    assert load(run).evaluate(["reconstruction", "mig"]) == done["metrics"]
    assert load(run).evaluate(["rows"], "valid", {"width": [0]}, 3)["rows.count"] == 3


def test_the_default_set_is_what_the_run_has_what_it_takes_for(run: Path) -> None:
    done = evaluate(run, split="all")
    assert {"reconstruction", "mig", "sap", "irs", "rows", "codes", "total_correlation"} <= set(done["groups"])
    assert done["on_request"]["dear"] == "takes a week"
    assert "dci" in done["on_request"]
    for name in ("dci", "dear", "between", "soft"):
        assert not any(key.startswith(f"{name}.") for key in done["metrics"])
    assert 'needs the posterior modes soft, and posterior "deterministic" has' in done["refused"]["soft"]
    assert set(done["protocol"]) == set(done["groups"]) == set(done["perf"]["seconds"])
    assert not set(done["refused"]) & set(done["groups"])
    # Metrics share one pass over the examples; what some encode beside is not counted as theirs.
    encoded = done["perf"]["encode_seconds"]
    assert {"200 examples", "in hybrid_gap"} <= set(encoded)
    assert not {"in mig", "in reconstruction", "in independence"} & set(encoded)
    assert all(seconds >= 0 for seconds in [*encoded.values(), *done["perf"]["seconds"].values()])
    stored = json.loads((run / "evaluation" / "all.json").read_text())["metrics"]
    assert {key: value for one in stored.values() for key, value in one["numbers"].items()} == done["metrics"]
    assert load(run).evaluate(split="all") == done["metrics"]
    # A row of 16x16 images, six times as large, for data, reconstruction and each sampler the run can have.
    assert done["pictures"]["samples"] == str(run / "evaluation" / "all-samples.png")
    assert np.asarray(Image.open(done["pictures"]["samples"])).shape[0] == 5 * 98 + 2
    # Four dimensions against each other.
    matrix = np.asarray(Image.open(done["pictures"]["latent_responses"]))
    assert matrix.shape[0] == 4 * 26 + 2
    assert len(np.unique(matrix)) > 10


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples each call of an encoder takes, on a clock by which each is half a second and nothing else takes time."""
    seen: list[int] = []
    monkeypatch.setattr(time, "perf_counter", lambda: 0.5 * len(seen))

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        if isinstance(module, Encoder):
            seen.append(len(inputs[0]))

    hook = nn.modules.module.register_module_forward_hook(count)
    yield seen
    hook.remove()


def test_each_example_is_encoded_once_and_its_seconds_are_told_apart(run: Path, encoded: list[int]) -> None:
    names = ["reconstruction", "mig", "independence", "total_correlation", "hybrid_gap"]
    done = evaluate(run, names=names)
    # The 40 examples; then their reconstructions and as many hybrids, whole and by dimension, in hybrid_gap.
    assert (encoded[0], sum(encoded)) == (40, 40 + 3 * 40)
    assert done["perf"]["encode_seconds"] == {"40 examples": 0.5, "in hybrid_gap": 1.5}
    assert done["perf"]["seconds"] == dict.fromkeys(names, 0.0)
    assert done["perf"]["device"] == "cpu"


def test_a_metric_that_looks_at_few_examples_has_only_these_encoded(
    run: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aerepr.builtin.metrics.latent_responses._EXAMPLES", 60)
    done = evaluate(run, names=["latent_responses"], split="all")
    # Batches of 64 examples, of which one is enough; what was decoded, as it was and with each of four changed, is beside.
    assert encoded[0] == 64
    assert list(done["perf"]["encode_seconds"]) == ["64 examples", "in latent_responses"]


def test_paths_of_metrics_start_at_the_spec_those_of_set_where_the_command_runs(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, judge in (("home", "judge"), ("moved", "judge"), ("elsewhere", "near")):
        shutil.copytree(tiny_run, tmp_path / folder / judge)
    shutil.copy(tiny_data, tmp_path / "home" / "x.npz")
    shutil.copy(tiny_data, tmp_path / "moved" / "x.npz")
    monkeypatch.chdir(tmp_path / "home")
    tables = tiny_tables({"name": "npz", "path": "x.npz", "images": "images"})
    asked = [{"name": "frechet", "features": "judge", "rows": 40}, {"name": "fid", "weights": "inception.pth"}]
    spec = spec_from_tables({**tables, "evaluation": {"metrics": asked}}, ["train.steps=1"])
    run = train(spec, runs=tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "elsewhere")
    key = "frechet.reconstruction@features={},rows=40"
    assert key.format("judge") in evaluate(run, names=["frechet"])["metrics"]
    assert key.format("judge") in evaluate(run, names=["frechet"], folder=tmp_path / "moved")["metrics"]
    assert key.format("near") in evaluate(run, names=["frechet"], sets=["frechet.features=near"])["metrics"]
    with pytest.raises(RunDirectoryError, match='no run named "judge"'):
        evaluate(run, names=["frechet"], sets=["frechet.features=judge"])
    shutil.rmtree(tmp_path / "home" / "judge")
    with pytest.raises(RunDirectoryError, match=f'no run named "{tmp_path}/home/judge"'):
        evaluate(run, names=["frechet"])
    for folder, more in (("home", {}), ("moved", {"folder": tmp_path / "moved"})):
        with pytest.raises(DataError, match=f"{tmp_path}/{folder}/inception.pth: no such file"):
            evaluate(run, names=["fid"], **more)
    with pytest.raises(DataError, match=r"^inception.pth: no such file"):
        evaluate(run, names=["fid"], sets=["fid.weights=inception.pth"])


def test_what_is_named_may_be_dear_and_says_what_it_saw(run: Path) -> None:
    done = evaluate(run, names=["dear", "rows"])
    assert done["metrics"]["dear.rows"] == 40
    assert done["remarks"] == {"dear": ["40 rows are many"]}
    assert (done["pictures"], done["on_request"]) == ({}, {})


def test_what_is_named_and_not_defined_leaves_the_others_on_file(run: Path) -> None:
    done = evaluate(run, names=["rows", "between", "soft"])
    assert set(done["refused"]) == {"between", "soft"}
    assert done["refused"]["between"].startswith('metric "between" compares several runs; it cannot be computed of one')
    assert set(json.loads((run / "evaluation" / "test.json").read_text())["metrics"]) == {"rows"}
    with pytest.raises(UsageError, match="compares several runs"):
        evaluate(run, names=["between"])
    with pytest.raises(DataError, match=r"between: .*; soft: "):
        evaluate(run, names=["between", "soft"])
    with pytest.raises(UsageError, match="compares several runs"):
        load(run).evaluate(["rows", "between"])


def test_the_splits_together_and_other_choices_of_rows(run: Path) -> None:
    done = evaluate(run, names=["rows"], split="all")
    assert (done["rows"], done["of"], done["metrics"]["rows.sum"]) == (200, 200, 199 * 100)
    assert done["out"] == str(run / "evaluation" / "all.json")
    sums = [evaluate(run, names=["rows"], rows=20, seed=seed)["metrics"]["rows.sum"] for seed in (0, 1, 1, 2)]
    assert sums[1] == sums[2]
    assert len(set(sums)) == 3


def test_a_seed_is_of_what_metrics_draw_too(run: Path) -> None:
    first, again, other = (
        evaluate(run, names=["factor_vae"], split="all", rows=None, seed=seed)["metrics"]["factor_vae.score"]
        for seed in (1, 1, 2)
    )
    assert first == again != other
    told = evaluate(run, names=["sap"], split="all", seed=4, rows=90, sets=["sap.train_rows=50"])["protocol"]["sap"]
    assert told.endswith(
        "90 of 200 rows of the whole data set, drawn without replacement (seed 4), the first 50 are train rows"
    )


def test_intervals_are_of_metrics_of_codes_and_follow_the_seed(run: Path) -> None:
    asked = {"names": ["mig", "reconstruction", "sap"], "split": "all", "rows": 40}
    first, again = (evaluate(run, **asked, resamples=4, seed=1) for _ in range(2))
    assert set(first["intervals"]) == {"mig.score"}
    low, high = first["intervals"]["mig.score"]
    assert low < first["metrics"]["mig.score"] < high
    assert first["intervals"] == again["intervals"]
    # Of 26 train rows drawn again, some class is missing: the number stays, and the interval says why it is not there.
    assert "sap.score" in first["metrics"]
    assert "no interval: resample" in first["remarks"]["sap"][0]
    stored = json.loads((run / "evaluation" / "all.json").read_text())["metrics"]
    assert stored["mig"]["intervals"] == first["intervals"]


def test_factors_that_a_subset_holds_are_left_out(run: Path, tiny_data: Path) -> None:
    done = evaluate(run, names=["mig"], split="all", subset=["width=[1]"])
    assert done["factors"] == ["column", "row"]
    assert done["left_out"] == {"width": "it has one value in these rows"}
    found = classes(tiny_data)
    rows = np.flatnonzero(found[:, 2] == 1)
    gap = mig(load(run).encode(np.load(tiny_data)["images"][rows]), found[rows, :2]).score
    assert done["metrics"]["mig.score"] == pytest.approx(gap, abs=1e-6)
    subset = [f"{name}=[{value}]" for name, value in zip(("column", "row", "width"), found[0], strict=True)]
    with pytest.raises(DataError, match="in these rows none is known and varies"):
        evaluate(run, names=["mig"], split="all", subset=subset)


def test_generative_protocols_ask_for_the_whole_grid_and_tell_its_cost(run: Path, tmp_path: Path) -> None:
    said: list[str] = []
    message = "found 200 rows, expected each of the 108 combinations of 6 x 6 x 3 values once"
    with pytest.raises(DataError, match=message):
        evaluate(run, names=["factor_vae@generative"], told=said.append)
    assert said == []
    grid = np.array(list(product(range(6), range(6), range(3))))
    images = np.zeros((len(grid), 16, 16, 1), np.uint8)
    for image, (column, row, width) in zip(images, grid, strict=True):
        image[2 * row : 2 * row + 2 * width + 2, 2 * column : 2 * column + 2 * width + 2] = 220
    shuffled = np.random.default_rng(0).permutation(len(grid))
    np.savez(tmp_path / "grid.npz", images=images[shuffled], factors=grid[shuffled])
    data = {"name": "npz", "path": str(tmp_path / "grid.npz"), "images": "images", "factors": "factors"}
    trained = train(spec_from_tables(tiny_tables(data), ["train.steps=30"]), runs=tmp_path / "grids")
    names = ["factor_vae", "factor_vae@generative", "beta_vae@generative"]
    done = evaluate(trained, names=names, seed=3, told=said.append)
    # Once, for both that ask for it.
    assert len([text for text in said if "every combination of factors is encoded: 108 examples, about" in text]) == 1
    codes = load(trained).encode(images)

    def encode(factors: np.ndarray) -> np.ndarray:
        return codes[np.ravel_multi_index(tuple(factors.T), (6, 6, 3))]

    expected = factor_vae_generative(encode, (6, 6, 3), seed=3).score
    assert expected > 0
    assert done["metrics"]["factor_vae.score@generative"] == pytest.approx(expected, abs=1e-3)
    expected = beta_vae_generative(encode, (6, 6, 3), seed=3).score
    assert done["metrics"]["beta_vae.score@generative"] == pytest.approx(expected, abs=1e-3)
    stored = json.loads((trained / "evaluation" / "test.json").read_text())["metrics"]
    assert set(stored) == set(names)
    assert stored["factor_vae@generative"]["protocol"].endswith(
        "factors drawn uniformly, each by itself, from all 108 combinations of the data set"
    )
    again = evaluate(trained, names=["factor_vae"], seed=3, sets=['factor_vae.protocol="generative"'])
    assert list(again["groups"]) == ["factor_vae@generative"]
    assert again["metrics"]["factor_vae.score@generative"] == done["metrics"]["factor_vae.score@generative"]


def test_numbers_that_are_infinite_are_texts_in_json(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rows, "compute", lambda self, run: {"rows.count": float("inf")})
    done = evaluate(run, names=["rows"])
    assert done["metrics"] == {"rows.count": "inf"}
    assert "Infinity" not in (run / "evaluation" / "test.json").read_text()
    assert load(run).evaluate(["rows"]) == {"rows.count": float("inf")}


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


def test_a_run_without_factors_has_the_metrics_that_need_none(run: Path, tiny_vector_run: Path, tmp_path: Path) -> None:
    assert evaluate(run, names=["codes", "unsupervised"])["metrics"] == {"codes.rows": 40.0, "unsupervised.rows": 40.0}
    vectors = Path(shutil.copytree(tiny_vector_run, tmp_path / "vectors"))
    done = evaluate(vectors)
    assert {"reconstruction.mse", "unsupervised.rows", "total_correlation.score"} <= set(done["metrics"])
    for name in ("codes", "mig", "sap", "factor_vae"):
        assert done["refused"][name] == f'metric "{name}" needs ground-truth factors, and this data set has none'
    assert done["factors"] == []
    # Points in the plane have a scatter plot.
    assert np.asarray(Image.open(done["pictures"]["samples"])).shape == (720, 720, 3)
    with pytest.raises(DataError, match="needs ground-truth factors"):
        load(tiny_vector_run).evaluate(["codes"])
    assert load(tiny_vector_run).evaluate(["unsupervised"]) == {"unsupervised.rows": 40.0}


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"subset": ["width=[]"]}, UsageError, r"found no rows with width = \[\]"),
        ({"subset": ["wdth=[1]"]}, UsageError, 'no factor named .*did you mean "width"'),
        ({"subset": ["width=[9]"]}, UsageError, "found class 9 for factor 'width', expected whole numbers 0..2"),
        ({"subset": ["width=big"]}, UsageError, r"class indices such as width=\[0, 2\], got width='big'"),
        ({"subset": ["width"]}, UsageError, "--subset: expected key=value"),
        ({"split": "dev"}, UsageError, 'expected train, valid, test, all, got "dev"'),
        ({"rows": 0}, UsageError, "rows: expected 1 or more"),
        ({"seed": -1}, UsageError, "seed: expected 0 or more, got -1"),
        ({"names": ["mig@generative"]}, SpecError, "protocol +unknown setting"),
        ({"names": ["factor_vae@grid"]}, SpecError, "protocol +must be 'rows' or 'generative'"),
        ({"names": []}, UsageError, "name at least one metric"),
        ({"names": ["recon"]}, UnknownComponent, 'no metric named "recon"'),
        ({"names": ["mig"], "sets": ["rows.offset=1"]}, UsageError, "one of the metrics computed: mig"),
        ({"sets": ["reconstruction=1"]}, UsageError, "expected metric.key=value"),
        ({"sets": ["reconstruction.scale=1"]}, SpecError, "unknown setting"),
        ({"device": "quantum"}, UsageError, 'device: "quantum" is not available here .*: use auto or cpu'),
        # Fewer rows than a protocol asks for.
        ({"names": ["frechet"]}, DataError, "frechet: found 40 rows, expected 2000: .* --set frechet.rows=40"),
        (
            {"names": ["sap"], "sets": ["sap.train_rows=10000"]},
            DataError,
            "10000 rows to fit on .* 40 rows are available",
        ),
        ({"names": ["mig"], "rows": 19}, DataError, "found 19 rows, expected at least 20"),
        # Weights of the Inception network.
        (
            {"names": ["fid"]},
            SpecError,
            "name the file of Inception weights .*: --set fid.weights=PATH; none is downloaded",
        ),
        (
            {"names": ["fid"], "sets": ["fid.weights=no.pth"]},
            DataError,
            "no.pth: no such file; expected the Inception weights",
        ),
        ({"names": ["fid"], "sets": ["fid.weights=wrong.pth"]}, DataError, "SHA-256 begins with .*, expected 6726825d"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_error(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked, error, message
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.pth").write_bytes(b"weights of another network")
    with pytest.raises(error, match=message):
        evaluate(run, **asked)
    assert not (run / "evaluation").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_codes_that_are_not_finite_are_refused_by_every_metric_that_reads_them(
    run: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    infer = ConvEncoder.forward
    monkeypatch.setattr(ConvEncoder, "forward", lambda self, x: torch.full_like(infer(self, x), value))
    names = ["mig", "sap", "irs", "total_correlation", "active_units", "independence", "latent_responses"]
    for name in names:
        with pytest.raises(DataError, match="codes: found 160 values that are NaN or infinite, the first in row 0"):
            evaluate(run, names=[name])
    with pytest.raises(DataError, match="NaN or infinite in 40 of 40 rows.*: the model has diverged"):
        evaluate(run, names=["frechet"], sets=["frechet.rows=40"])


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
    assert evaluate(run, names=["reconstruction"])["rows"] == 40
    with pytest.raises(DataError, match="image 1x8x8, 0 factors, expected what the run was trained on: image 1x16x16"):
        evaluate(run, folder=tmp_path / "there")
    with pytest.raises(DataError, match="pass --folder DIR"):
        evaluate(run, folder=tmp_path / "gone")
