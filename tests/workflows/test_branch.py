"""A branched run is the run its spec would have made from scratch, and is refused where it could not be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from aerepr.errors import RunDirectoryError, SpecError, UsageError
from aerepr.rundir import checkpoint
from aerepr.rundir.layout import RunDirectory
from aerepr.workflows.train import train
from tests.training.conftest import run as run
from tests.training.conftest import same, weights
from tests.training.conftest import spec as spec

Go = Callable[..., Path]

# Everything that has state between steps; intervals that divide the first phase.
COMMON = ("train.ema=0.9", "train.clip_norm=1.0", "train.accumulate=2", "train.validate_every=4")
SCHEDULE = (
    'train.schedules=[{target="model.regularizers.kl.weight",kind="linear",from=0.0,to=1.0,start=2,end=20},'
    '{target="train.optimizer.lr",kind="cosine",from=3e-3,to=1e-4,start=12}]'
)
# A validation that improves leaves a checkpoint of its own.
RARELY = "train.validate_every=50"
FIRST = "{steps=12,subset={group=[0,1,3]}}"
ONLY_FIRST = f"train.phases=[{FIRST}]"
# The cosine has not begun by step 12, so that without an end it does not matter when the run ends.
ARM = f'train.phases=[{FIRST},{{id="adapt",steps=12,learn=["decoder"]}}]'
PHASED = ("train.steps=12", ONLY_FIRST, *COMMON, SCHEDULE)
ARMS = ("train.steps=24", ARM, *COMMON, SCHEDULE)


def test_an_arm_is_the_run_from_scratch(run: Go, spec: Path) -> None:
    first = run("first", *PHASED)
    whole = run("whole", *ARMS)
    arm = run("arm", *ARMS, branch=first)
    assert same(whole, arm)
    # It began at step 12: nothing before was computed, and what is kept is what the other run had.
    env = json.loads((arm / "env.json").read_text())
    assert env["branched_from"] == {
        "run": str(first),
        "step": 12,
        "spec_hash": json.loads((first / "checkpoints" / "step-00000012" / "state.json").read_text())["spec_hash"],
    }
    assert "step 12 of 24" in (arm / "log.txt").read_text()
    assert not same(first, arm)


def test_a_phase_is_addressed_by_its_id(run: Go) -> None:
    first = run("first", *PHASED)
    both = run("both", *ARMS, 'train.phases.adapt.learn=["encoder"]', branch=first)
    spec = json.loads((both / "spec.resolved.json").read_text())
    assert spec["train"]["phases"][1]["learn"] == ["encoder"]
    assert not same(both, run("decoder", *ARMS, branch=first))


def test_steps_are_one_phase_of_as_many(run: Go) -> None:
    first = run("first", "train.steps=12", "train.validate_every=4")
    whole = run("whole", "train.steps=24", "train.validate_every=4")
    sets = ("train.steps=24", "train.phases=[{steps=24}]", "train.validate_every=4")
    assert same(whole, run("phases", *sets))
    assert same(whole, run("arm", *sets, branch=first))


def test_a_checkpoint_within_a_phase_serves_too(run: Go) -> None:
    # Steps 10, 15 and 20 are kept; the phases part at 18.
    other = run("other", "train.steps=20", RARELY)
    sets = ('train.phases=[{steps=18},{steps=6,learn=["encoder"]}]', RARELY)
    arm = run("arm", *sets, branch=other)
    assert json.loads((arm / "env.json").read_text())["branched_from"]["step"] == 15
    assert same(arm, run("whole", *sets))


def test_what_decides_no_numbers_may_differ(run: Go, spec: Path) -> None:
    first = run("first", "train.steps=12", "train.validate_every=4")
    sets = ("name=other", "sampler.size=16", "data.gallery=3", "train.checkpoint_every=7", "train.validate_every=4")
    assert same(run("arm", *sets, branch=first), run("whole", *sets))


def test_a_branched_run_that_was_cut_is_resumed(run: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.training.test_loop import Stop, raise_stop, stop_at

    first, whole = run("first", *PHASED), run("whole", *ARMS)
    stop_at(monkeypatch, 17, raise_stop)
    with pytest.raises(Stop):
        run("arm", *ARMS, branch=first)
    arm = whole.with_name("arm")
    train(arm, resume=True)
    assert same(whole, arm)


@pytest.mark.parametrize(
    ("sets", "paths"),
    [
        (("seed=1", "train.optimizer.lr=1e-3"), ["seed", "train.optimizer.lr"]),
        (("model.encoder.width=8",), ["model.encoder.width"]),
        (("model.regularizers.kl.weight=2.0",), ["model.regularizers.kl.weight"]),
        (
            ("train.phases=[{steps=10},{steps=14}]", "train.steps=24"),
            ["train.phases.0.steps  ", "train.phases.1.steps"],
        ),
        (('train.phases=[{steps=24,learn=["decoder"]}]',), ["train.phases.0.learn"]),
        (
            ("train.phases=[{steps=24,subset={group=[0,1]}}]",),
            ["train.phases.0.subset  {} there, {'group': [0, 1]} here"],
        ),
        (
            ('train.schedules=[{target="train.optimizer.lr",from=3e-3,to=0.0}]',),
            ["train.schedules.train.optimizer.lr  0.003 at step 1 there, 0.00"],
        ),
        (("data.subset.group=[0,1,2]",), ["data.subset.group"]),
    ],
)
def test_another_history_is_refused_with_every_difference(run: Go, sets: tuple[str, ...], paths: list[str]) -> None:
    first = run("first", "train.steps=12", RARELY, "train.checkpoint_every=50")
    with pytest.raises(SpecError) as caught:
        run("arm", *sets, branch=first)
    for path in paths:
        assert path in str(caught.value)
    assert f"--branch {first}: step 12 is no step of this spec's own run" in str(caught.value)
    assert not first.with_name("arm").exists()


def test_both_values_are_said(run: Go) -> None:
    first = run("first", "train.steps=12")
    with pytest.raises(SpecError, match=r"seed  0 there, 7 here"):
        run("arm", "seed=7", branch=first)


def test_a_schedule_that_ends_with_the_run_differs(run: Go) -> None:
    sets = ('train.schedules=[{target="train.optimizer.lr",from=3e-3,to=0.0}]',)
    first = run("first", "train.steps=12", *sets)
    with pytest.raises(SpecError, match=r"train\.schedules\.train\.optimizer\.lr"):
        run("arm", *sets, branch=first)


def test_a_schedule_over_a_constant_is_no_difference_before_it_begins(run: Go) -> None:
    first = run("first", "train.steps=12", "train.validate_every=4")
    sets = (
        'train.schedules=[{target="train.optimizer.lr",from=3e-3,to=0.0,start=11}]',
        "train.validate_every=4",
    )
    arm, whole = weights(run("arm", *sets, branch=first)), weights(run("whole", *sets))
    # Only what the two runs tell differs: the other had no schedule to tell of.
    assert arm.keys() == whole.keys()
    assert all(torch.equal(arm[key], whole[key]) for key in arm)


def test_nothing_left_to_train_is_refused(run: Go) -> None:
    first = run("first", "train.steps=12", RARELY)
    with pytest.raises(SpecError, match=r"train\.steps  5 leaves nothing to train from step 5 on"):
        run("arm", "train.steps=5", branch=first)


def test_damaged_checkpoints_give_way(run: Go) -> None:
    first = run("first", "train.steps=12")
    (first / "checkpoints" / "step-00000012" / "model.safetensors").write_bytes(b"junk")
    arm = run("arm", branch=first)
    assert json.loads((arm / "env.json").read_text())["branched_from"]["step"] == 10
    assert "damaged" in (arm / "log.txt").read_text()
    for folder in checkpoint.folders(RunDirectory(first)):
        (folder / "state.json").unlink()
    with pytest.raises(RunDirectoryError, match="no whole checkpoint to branch from"):
        run("again", branch=first)


def test_resume_and_branch_exclude_each_other(run: Go) -> None:
    with pytest.raises(UsageError, match="--resume alone"):
        run("arm", branch="x", resume=True)
    with pytest.raises(RunDirectoryError, match='no run named "x"'):
        run("arm", branch="x")
