"""`[evaluation]` of a spec: metrics of the run as it stands, every so many steps, that change nothing of the training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from aerepr.errors import SpecError
from aerepr.training.loop import Trainer
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
