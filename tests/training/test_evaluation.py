"""`[evaluation]` of a spec: metrics of the run as it stands, every so many steps, that change nothing of the training."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from aerepr.builtin.metrics.reconstruction import Reconstruction
from aerepr.errors import SpecError
from aerepr.kinds.encoder import Encoder
from aerepr.training import record
from aerepr.training.loop import Trainer
from aerepr.workflows import runs
from aerepr.workflows.load import load
from aerepr.workflows.train import train
from tests.training.conftest import metrics, same, weights

Go = Callable[..., Path]

EVERY = (
    "evaluation.every=6",
    'evaluation.metrics=["reconstruction","mig","total_correlation",{name="sap",train_rows=30}]',
)


def found(run: Path) -> dict[int, dict[str, float]]:
    """The evaluations of a run by step."""
    return {record["step"]: record for record in metrics(run) if record["kind"] == "evaluation"}


def test_numbers_every_so_many_steps_and_the_same_training(run: Go) -> None:
    evaluated, plain = run("evaluated", *EVERY), run("plain")
    records = found(evaluated)
    assert list(records) == [6, 12, 18, 24]
    assert all(math.isfinite(record["mig.score"]) for record in records.values())
    assert len({record["reconstruction.mse"] for record in records.values()}) == 4
    for part in ("model", "sampler", "codes"):
        a, b = weights(evaluated, part), weights(plain, part)
        assert all(bool((a[key] == b[key]).all()) for key in a)
    # The last ones are those of the finished run, which evaluates what its spec names, as its spec says.
    last = {key: value for key, value in records[24].items() if key not in ("step", "kind")}
    after = load(evaluated).evaluate()
    assert {key: after[key] for key in last} == pytest.approx(last, rel=1e-5)
    assert load(evaluated).evaluate(["sap"])["sap.score"] == last["sap.score"]


@pytest.mark.parametrize("step", [3, 14])
def test_resumed_runs_tell_the_same_numbers(run: Go, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    whole = run("whole", *EVERY)
    one, left = Trainer._one, [True]

    def stops(self: Trainer, phase: object) -> None:
        if self.step == step and left:
            left.clear()
            raise KeyboardInterrupt
        one(self, phase)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "_one", stops)
    with pytest.raises(KeyboardInterrupt):
        run("cut", *EVERY)
    cut = whole.with_name("cut")
    train(cut, resume=True)
    assert same(whole, cut)
    assert len(found(cut)) == 4


def test_a_metric_that_is_not_defined_is_told_and_stops_nothing(run: Go) -> None:
    done = run("a", "evaluation.every=12", 'evaluation.metrics=["factor_vae","mig"]')
    assert [set(record) for record in found(done).values()] == [{"step", "kind", "mig.score"}] * 2
    log = (done / "log.txt").read_text()
    assert log.count("factor_vae is not computed: factors: found 1 factor, expected at least 2") == 2


def test_a_spec_whose_data_has_no_factors_is_refused_before_training(run: Go, spec: Path) -> None:
    text = spec.read_text().replace('factors = "y.npy"\nfactor_names = ["group"]\n', "")
    spec.write_text(text)
    with pytest.raises(SpecError, match=r'evaluation.metrics.1 +"mig" needs ground-truth factors'):
        run("a", "evaluation.every=6", 'evaluation.metrics=["reconstruction","mig"]')


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples each call of an encoder outside training took."""
    seen: list[int] = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        if isinstance(module, Encoder) and not module.training:
            seen.append(len(inputs[0]))

    hook = nn.modules.module.register_module_forward_hook(count)
    monkeypatch.setattr(Trainer, "_validate", lambda self: False)
    yield seen
    hook.remove()


def test_metrics_of_runs_are_asked_about_few_rows_each_encoded_once(run: Go, encoded: list[int]) -> None:
    asked = 'evaluation.metrics=["reconstruction","rate","mig","total_correlation"]'
    done = run("a", "evaluation.every=24", "evaluation.rows=30", asked)
    (numbers,) = found(done).values()
    assert {"reconstruction.mse", "rate.total", "mig.score", "total_correlation.score"} <= set(numbers)
    # Metrics of runs may need what is fitted to the codes of the training examples, 140; those end in the run, too.
    assert sum(encoded) == 140 + 30 + 140
    after = load(done).evaluate(["reconstruction"], rows=30)
    assert after["reconstruction.mse"] == pytest.approx(numbers["reconstruction.mse"], rel=1e-5)


def test_metrics_of_codes_encode_nothing_but_the_rows_asked_about(run: Go, encoded: list[int]) -> None:
    run("a", "evaluation.every=24", "evaluation.rows=30", 'evaluation.metrics=["mig","total_correlation"]')
    assert sum(encoded) == 30 + 140


def test_a_number_that_is_infinite_is_told_in_strict_json_and_read_back(
    run: Go, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reconstruction, "compute", lambda self, run: {"reconstruction.mse": math.inf})
    done = run("a", "evaluation.every=12", 'evaluation.metrics=["reconstruction"]')
    assert [item["reconstruction.mse"] for item in found(done).values()] == ["inf", "inf"]

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    for line in (done / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    assert [
        item["reconstruction.mse"] for item in record.read(done / "metrics.jsonl") if item["kind"] == "evaluation"
    ] == [
        math.inf,
        math.inf,
    ]
    assert runs.details(done.parent, str(done)).last["evaluation"]["reconstruction.mse"] == math.inf
    # Records that a branch takes over, too.
    other = train(spec, runs=done.parent, run=done.with_name("b"), branch=done)
    assert '"inf"' in (other / "metrics.jsonl").read_text()


def test_paths_of_metrics_start_at_the_spec_file(
    run: Go, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = run("judge", "train.steps=4")
    shutil.move(judge, spec.parent / "judge")
    asked = 'evaluation.metrics=[{name="frechet",features="judge",rows=30},{name="fid",weights="here.pth"}]'
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    done = run("a", "evaluation.every=24", asked)
    (numbers,) = found(done).values()
    suffix = "@features=judge,rows=30"
    assert f"frechet.reconstruction{suffix}" in numbers
    # The finished run asks the same judge, from wherever it is evaluated.
    after = load(done).evaluate(["frechet"])
    assert {key: numbers[key] for key in after} == pytest.approx(after, rel=1e-3)
    # Left as it was written: the run may move with its data.
    assert load(done).spec.evaluation.metrics[0].features == "judge"
