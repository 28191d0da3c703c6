"""Runs of a study that begin alike: the beginning is trained once, and what comes out is what each is by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aerepr.study.plan import read_plan
from aerepr.study.record import records
from aerepr.workflows.branch import is_beginning
from aerepr.workflows.study import run
from aerepr.workflows.train import train
from tests.study.test_driver import Log
from tests.training.conftest import same

NO_STEPS = ("[spec.train]\nsteps = 60\n", "[spec.train]\n")

# The arm that the others begin with comes last.
DECODER = '[axes.learn.decoder]\ntrain.phases = [{ steps = 60 }, { steps = 20, learn = ["decoder"] }]'
ENCODER = '[axes.learn.encoder]\ntrain.phases = [{ steps = 60 }, { steps = 20, learn = ["encoder"] }]'
NEITHER = "[axes.learn.neither]\ntrain.phases = [{ steps = 60 }]"
EVALUATE = '[[evaluate]]\nmetrics = ["reconstruction"]'


def branched_from(path: Path) -> dict[str, object] | None:
    found: dict[str, object] | None = json.loads((path / "env.json").read_text()).get("branched_from")
    return found


def test_arms_branch_off_the_one_they_begin_with(study_file, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study, log = study_file("\n".join([DECODER, NEITHER, EVALUATE]), NO_STEPS), Log()
    assert run(study, jobs=2, onlooker=log)["states"]["done"] == 2
    assert log.of("start") == [("learn=neither",), ("learn=decoder",)]
    decoder, neither = (Path(str(record.run)) for record in records(Path("runs/small")).records)
    assert branched_from(neither) is None
    found = branched_from(decoder)
    assert found is not None
    assert (Path(str(found["run"])).name, found["step"]) == (neither.name, 60)
    assert "step 60 of 80" in (decoder / "log.txt").read_text()
    # Bit for bit what it is by itself, in every record too.
    assert same(train(read_plan(study).runs[0].spec, runs=tmp_path / "alone"), decoder)

    # Where nothing is left to branch from, an arm makes its own beginning, and that is said.
    shutil.rmtree(neither / "checkpoints")
    study, log = study_file("\n".join([DECODER, ENCODER, NEITHER, EVALUATE]), NO_STEPS), Log()
    assert run(study, onlooker=log)["states"]["done"] == 3
    encoder = Path(str(records(Path("runs/small")).records[1].run))
    assert branched_from(encoder) is None
    (message,) = (text for (text,) in log.of("message"))
    assert message.startswith("learn=encoder: ")
    assert "no whole checkpoint to branch from; trained from its start instead" in message
    assert same(train(read_plan(study).runs[1].spec, runs=tmp_path / "alone"), encoder)


LR = 'target = "train.optimizer.lr", from = 1e-3, to = 1e-4'


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("steps = 60", "steps = 61", True),
        ("steps = 60", "phases = [{ steps = 60 }, { steps = 1, learn = ['decoder'] }]", True),
        ("phases = [{ steps = 60 }]", "phases = [{ steps = 60, learn = ['decoder'] }, { steps = 1 }]", False),
        ("steps = 60", "steps = 120\noptimizer.lr = 1e-4", False),
        # A last step at which the other neither logs nor validates.
        ("steps = 30", "steps = 60", False),
        ("steps = 40", "steps = 60", False),
        # The same weights, but other records on the way.
        ("steps = 60\nlog_every = 10", "steps = 120", False),
        ("steps = 60", "steps = 120\nvalidate_every = 60", False),
        ("steps = 60", f"steps = 120\nschedules = [{{ {LR.replace('1e-3', '5e-4')}, start = 60 }}]", False),
        # How often it is saved tells nothing.
        ("steps = 60\ncheckpoint_every = 7", "steps = 120", True),
        # Sums in another order.
        ("steps = 60", 'steps = 120\ndevice = "cuda"', False),
        (f"steps = 60\nschedules = [{{ {LR}, end = 30 }}]", f"steps = 120\nschedules = [{{ {LR}, end = 30 }}]", True),
        # It ends with the run.
        (f"steps = 60\nschedules = [{{ {LR} }}]", f"steps = 120\nschedules = [{{ {LR} }}]", False),
    ],
)
def test_what_is_the_beginning_of_another(study_file, first: str, second: str, is_one: bool) -> None:
    levels = "\n".join(f"[axes.of.{name}.train]\n{text}" for name, text in (("first", first), ("second", second)))
    short, long = (planned.spec for planned in read_plan(study_file(levels, NO_STEPS)).runs)
    assert is_beginning(short, long) is is_one
    assert not is_beginning(long, short)
    assert not is_beginning(short, short)


@pytest.mark.parametrize("more", ["seed = 1", "evaluation.every = 30", 'loggers = [{ name = "tensorboard" }]'])
def test_another_seed_or_teller_is_none(study_file, more: str) -> None:
    levels = f"[axes.of.first]\ntrain.steps = 60\n[axes.of.second]\ntrain.steps = 120\n{more}"
    short, long = (planned.spec for planned in read_plan(study_file(levels, NO_STEPS)).runs)
    assert not is_beginning(short, long)
