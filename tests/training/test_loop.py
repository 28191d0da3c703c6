"""Promises of the training engine: the same numbers again, resumed or not; phases, weights, averages, bad losses."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from aerepr import atomic
from aerepr.builtin.objectives.elbo import ELBO
from aerepr.builtin.regularizers.kl import KL
from aerepr.errors import (
    AereprError,
    CheckpointError,
    Interrupted,
    RunDirectoryError,
    SpecError,
    TrainingError,
    UsageError,
)
from aerepr.kinds.step import Term
from aerepr.registry.registry import Registry
from aerepr.rundir import checkpoint, tensors
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import read_spec
from aerepr.training.loop import Trainer
from aerepr.training.update import Update
from aerepr.workflows.assemble import open_run, open_source
from aerepr.workflows.train import summary, train
from tests.training.conftest import metrics, same, weights

Go = Callable[..., Path]

# Everything that has state between steps.
ALL_STATE = (
    "train.ema=0.9",
    "train.clip_norm=1.0",
    "train.accumulate=2",
    'train.schedules=[{target="model.regularizers.kl.weight",kind="linear",from=0.0,to=1.0},'
    '{target="train.optimizer.lr",kind="cosine",from=3e-3,to=1e-4}]',
)


class Stop(Exception):
    """Ends a run as abruptly as an exception can."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, how: Callable[[], None]) -> None:
    """Do something in place of update number `step`, the first time it comes."""
    one, left = Trainer._one, [True]

    def patched(self: Trainer, phase: Any) -> None:
        if self.step == step and left:
            left.clear()
            how()
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", patched)


def raise_stop() -> None:
    raise Stop


def test_same_spec_and_seed_give_the_same_bits(run: Go) -> None:
    assert same(run("a"), run("b"))


def test_another_seed_gives_another_run(run: Go) -> None:
    assert not same(run("a"), run("b", "seed=1"))


def test_training_leaves_the_global_generator_alone(run: Go) -> None:
    before = torch.get_rng_state()
    run("a")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("sets", [(), ALL_STATE], ids=["plain", "all-state"])
# At 14 a record (12) is newer than the checkpoint (10), and must not be told twice.
@pytest.mark.parametrize("step", [3, 7, 14, 23])
def test_resume_is_exact(run: Go, monkeypatch: pytest.MonkeyPatch, step: int, sets: tuple[str, ...]) -> None:
    whole = run("whole", *sets)
    stop_at(monkeypatch, step, raise_stop)
    with pytest.raises(Stop):
        run("cut", *sets)
    cut = whole.with_name("cut")
    assert RunDirectory(cut).state == "failed"
    train(cut, resume=True)
    assert RunDirectory(cut).state == "done"
    assert same(whole, cut)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    run: Go, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    whole = run("whole")
    stop_at(monkeypatch, 6, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match="--resume") as caught:
        run("cut")
    assert caught.value.exit_code == code
    cut = whole.with_name("cut")
    assert RunDirectory(cut).state == "interrupted"
    assert checkpoint.pointed(RunDirectory(cut), "last") == "step-00000007"
    assert summary(cut) == {"run": str(cut), "step": 7, "state": "interrupted"}
    train(cut, resume=True)
    assert same(whole, cut)


def test_resume_by_spec_finds_the_newest_unfinished_run(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = spec.parent / "runs"
    with pytest.raises(UsageError, match="no unfinished run"):
        train(spec, runs=runs, resume=True)
    stop_at(monkeypatch, 8, raise_stop)
    with pytest.raises(Stop):
        train(spec, runs=runs)
    finished = train(spec, runs=runs, resume=True)
    assert RunDirectory(finished).state == "done"
    assert len(list(runs.glob("small/*"))) == 1


def test_a_finished_run_can_be_lengthened(run: Go) -> None:
    whole = run("whole", "train.steps=32")
    short = run("short")
    train(short, resume=True, sets=["train.steps=32"])
    assert json.loads((short / "spec.resolved.json").read_text())["train"]["steps"] == 32
    assert all(torch.equal(weights(whole)[key], value) for key, value in weights(short).items())


@pytest.mark.parametrize(
    ("change", "said"),
    [("train.steps=8", "can only grow"), ("model.latent_dim=8", "cannot change when a run is resumed")],
)
def test_resume_refuses_other_changes(run: Go, change: str, said: str) -> None:
    done = run("a")
    with pytest.raises(SpecError, match=said):
        train(done, resume=True, sets=[change])


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "state"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    run: Go, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = run("whole")
    stop_at(monkeypatch, 12, raise_stop)
    with pytest.raises(Stop):
        run("cut")
    cut = whole.with_name("cut")
    newest = cut / "checkpoints" / "step-00000010"
    file = newest / ("state.json" if damage == "state" else "train.safetensors")
    content = bytearray(file.read_bytes())
    if damage == "remove":
        file.unlink()
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[: len(content) // 2])
    train(cut, resume=True)
    assert "an earlier checkpoint is used" in (cut / "log.txt").read_text()
    assert "step 8 of 24" in (cut / "log.txt").read_text()  # the best so far, of the validation at step 8
    assert same(whole, cut)


def test_without_any_whole_checkpoint_resume_says_so(run: Go, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, 12, raise_stop)
    with pytest.raises(Stop):
        run("cut")
    cut = spec.parent / "runs" / "cut"
    for folder in checkpoint.folders(RunDirectory(cut)):
        (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        train(cut, resume=True)


def test_a_full_disk_keeps_the_last_checkpoint(run: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("whole")
    flush, calls = atomic._flush, [0]

    def fill(path: Path) -> None:
        calls[0] += 1
        # The manifest and the first checkpoint fit; a file of the second does not.
        if calls[0] == 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(path)

    monkeypatch.setattr(atomic, "_flush", fill)
    with pytest.raises(AereprError, match="disk is full"):
        run("cut")
    monkeypatch.undo()
    cut = whole.with_name("cut")
    assert not list(cut.rglob(".*"))
    found, passed_over = checkpoint.load_last(RunDirectory(cut))
    assert found is not None
    assert not passed_over
    train(cut, resume=True)
    assert same(whole, cut)


def test_a_disk_that_fills_while_weights_are_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["Error while serializing: I/O error: No space left on device (os error 28)", "Error while serializing: no"]

    def fail(*_: object) -> None:
        raise SafetensorError(said.pop(0))

    monkeypatch.setattr(tensors, "save_file", fail)
    with (
        pytest.raises(AereprError, match=r"weights: the disk is full"),
        atomic.folder_aside(tmp_path / "weights") as aside,
    ):
        tensors.save(aside / "a.safetensors", {})
    with pytest.raises(SafetensorError, match="no"):
        tensors.save(tmp_path / "a.safetensors", {})
    assert not list(tmp_path.iterdir())


def test_a_run_in_the_way_is_left_alone(run: Go, spec: Path) -> None:
    done = run("a")
    before = weights(done)
    with pytest.raises(RunDirectoryError, match="already there.*--overwrite"):
        run("a")
    assert all(torch.equal(before[key], value) for key, value in weights(done).items())
    run("a", "seed=3", overwrite=True)
    assert not all(torch.equal(before[key], value) for key, value in weights(done).items())
    other = spec.parent / "precious"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        train(spec, run=other, overwrite=True)
    assert (other / "thesis.txt").exists()


def test_other_data_under_the_same_name_is_refused_on_resume(
    run: Go, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 12, raise_stop)
    with pytest.raises(Stop):
        run("cut")
    before = {name: np.load(spec.parent / name) for name in ("x.npy", "y.npy")}
    others = {
        "140 then, 105 now": {name: values[:150] for name, values in before.items()},
        "as many, of other numbers or values": {**before, "x.npy": before["x.npy"][::-1]},
    }
    for said, files in others.items():
        for name, values in files.items():
            np.save(spec.parent / name, values)
        with pytest.raises(CheckpointError, match=f"training rows are not those of the checkpoint .{said}"):
            train(spec.parent / "runs" / "cut", resume=True)
    for name, values in before.items():
        np.save(spec.parent / name, values)
    train(spec.parent / "runs" / "cut", resume=True)


@pytest.mark.parametrize("seed", [2**44, 2**63 - 1])
def test_any_seed_of_a_spec_trains(run: Go, seed: int) -> None:
    done = run("large", f"seed={seed}", "train.steps=2")
    assert (done / "DONE").exists()


def test_frozen_parts_stay_and_their_optimizer_state_is_kept(run: Go) -> None:
    phases = 'train.phases=[{steps=10},{steps=14,learn=["decoder"]}]'
    frozen = run("b", phases, "train.checkpoint_every=10", "train.validate_every=24")
    folder = frozen / "checkpoints"
    first, last = (checkpoint.load(folder / name) for name in ("step-00000010", "step-00000024"))
    for key in first.model:
        moved = not torch.equal(first.model[key], last.model[key])
        assert moved == key.startswith("model.decoder."), key
    for key in first.train:
        if key.startswith("main/encoder."):
            assert torch.equal(first.train[key], last.train[key]), key


def test_a_phase_trains_on_its_own_rows(run: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    one = Trainer._one

    def patched(self: Trainer, phase: Any) -> None:
        rows = phase.orders[0].batch(self.step - phase.start)
        factors = self.source.dataset.factors
        assert factors is not None
        seen.append(set(factors.classes[rows.numpy(), 0].tolist()))
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", patched)
    run("a", "train.phases=[{steps=10,subset={group=[0,1]}},{steps=14}]")
    assert set().union(*seen[:10]) == {0, 1}
    assert set().union(*seen[10:]) == {0, 1, 2, 3}


def test_setting_steps_rescales_phases(run: Go) -> None:
    path = run("a", "train.phases=[{steps=100},{steps=300}]", "train.steps=8")
    spec = json.loads((path / "spec.resolved.json").read_text())
    assert [phase["steps"] for phase in spec["train"]["phases"]] == [2, 6]
    assert metrics(path)[-1]["step"] == 8


def test_schedules_are_applied_and_logged(run: Go) -> None:
    path = run(
        "a",
        "train.log_every=1",
        'train.schedules=[{target="model.regularizers.kl.weight",kind="linear",from=0.0,to=1.0,end=10}]',
    )
    records = [record for record in metrics(path) if record["kind"] == "train"]
    logged = [record["schedule/model.regularizers.kl.weight"] for record in records]
    assert logged == pytest.approx([min(1, step / 10) for step in range(24)])
    used = [record["weighted/kl"] / record["loss/kl"] for record in records]
    assert used == pytest.approx(logged, abs=1e-6)


def test_accumulated_micro_batches_equal_one_batch(run: Go) -> None:
    # Without sampling noise the gradient of two halves is that of the whole. An epoch of the 140 training rows holds
    # four batches of 32 or eight of 16, so in the first four steps both see the same rows.
    plain = ("model.posterior.name=deterministic", "model.regularizers=[]", "train.optimizer.name=sgd", "train.steps=4")
    whole = weights(run("a", *plain, "train.batch_size=32"))
    parts = weights(run("b", *plain, "train.accumulate=2"))
    half = weights(run("c", *plain))
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-4, atol=1e-6)
    assert any(not torch.allclose(half[key], value, rtol=1e-3, atol=1e-5) for key, value in whole.items())


def test_the_average_is_what_is_exported(run: Go) -> None:
    path = run("a", "train.ema=0.9")
    last = checkpoint.load(path / "checkpoints" / "step-00000024")
    names = [name for name in last.train if name.startswith("average/encoder.") and name.endswith("weight")]
    assert names
    key = names[0].removeprefix("average/")
    exported = weights(path)[key]
    assert torch.equal(exported, last.train[f"average/{key}"])
    assert not torch.equal(exported, last.model[f"model.{key}"])


def test_a_loss_that_is_not_finite_names_step_term_and_the_last_good_checkpoint(
    run: Go, monkeypatch: pytest.MonkeyPatch, spec: Path
) -> None:
    forward = KL.forward

    def bad(self: KL, step: Any) -> torch.Tensor:
        value = forward(self, step)
        return value * torch.where(step.number >= 9, torch.inf, 1.0)

    monkeypatch.setattr(KL, "forward", bad)
    with pytest.raises(TrainingError, match=r"step 9: kl is not finite; the last good checkpoint is step-00000008"):
        run("a", "train.log_every=6")
    path = spec.parent / "runs" / "a"
    assert RunDirectory(path).state == "failed"
    assert "kl is not finite" in (path / "FAILED").read_text()
    assert metrics(path)[-1]["step"] == 8


def test_a_part_of_a_term_that_is_not_finite_is_named_and_never_logged(
    run: Go, monkeypatch: pytest.MonkeyPatch, spec: Path
) -> None:
    forward = ELBO.forward

    def with_parts(self: ELBO, model: Any, step: Any, regularize: Any) -> Any:
        terms = forward(self, model, step, regularize)
        broken = torch.where(step.number >= 9, torch.inf, 1.0)
        kl = terms["kl"]
        return terms | {"kl": Term(kl.raw * broken, kl.weight, {"the first": torch.ones(()), "the second": broken})}

    monkeypatch.setattr(ELBO, "forward", with_parts)
    with pytest.raises(TrainingError, match=r"step 9: kl: the second is not finite"):
        run("a")
    keys = {key for record in metrics(spec.parent / "runs" / "a") for key in record}
    assert "loss/kl" in keys
    assert not [key for key in keys if "the first" in key]


def test_nothing_is_updated_after_a_loss_that_is_not_finite(run: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = KL.forward
    monkeypatch.setattr(
        KL, "forward", lambda self, step: forward(self, step) * torch.where(step.number == 2, torch.nan, 1.0)
    )
    kept: list[dict[str, torch.Tensor]] = []
    one = Trainer._one

    def patched(self: Trainer, phase: Any) -> None:
        one(self, phase)
        kept.append({key: value.clone() for key, value in self.system.state_dict().items()})

    monkeypatch.setattr(Trainer, "_one", patched)
    with pytest.raises(TrainingError):
        run("a", "train.log_every=8", "train.checkpoint_every=8", "train.ema=0.5")
    changed = [any(not torch.equal(a[k], b[k]) for k in a) for a, b in zip(kept, kept[1:], strict=False)]
    assert changed == [True, False, False, False, False, False, False]


def test_clipping_bounds_the_update(run: Go) -> None:
    sgd = ("train.optimizer.name=sgd", "train.optimizer.betas=[0.0,0.0]", "train.optimizer.lr=1.0", "train.steps=1")
    start = weights(run("a", *sgd, "train.optimizer.lr=1e-30"))
    moved = weights(run("b", *sgd, "train.clip_norm=0.01"))
    distance = sum(float((moved[key] - start[key]).square().sum()) for key in start) ** 0.5
    assert distance == pytest.approx(0.01, rel=1e-3)


def test_validation_and_training_are_told_apart_and_named(run: Go) -> None:
    records = metrics(run("a"))
    assert [record["step"] for record in records if record["kind"] == "valid"] == [8, 16, 24]
    train_record = next(record for record in records if record["kind"] == "train")
    for key in ("loss/total", "loss/distortion", "loss/kl", "weighted/kl", "gradient_norm", "lr"):
        assert key in train_record
    assert train_record["loss/total"] == pytest.approx(train_record["loss/distortion"] + train_record["weighted/kl"])
    assert train_record["weighted/kl"] == pytest.approx(0.5 * train_record["loss/kl"])
    valid = next(record for record in records if record["kind"] == "valid")
    assert valid["loss/total"] != valid["loss/total_sampled"]


# An ever narrower likelihood makes the same error cost more and more.
RISING = 'train.schedules=[{target="model.likelihood.scale",kind="linear",from=1.0,to=0.05}]'


@pytest.mark.parametrize(("sets", "best"), [((), 24), ((RISING,), 16)], ids=["falling", "rising"])
def test_best_points_to_the_lowest_validation_loss_resumed_or_not(
    run: Go, monkeypatch: pytest.MonkeyPatch, sets: tuple[str, ...], best: int
) -> None:
    stop_at(monkeypatch, 20, raise_stop)
    with pytest.raises(Stop):
        run("cut", *sets)
    path = run("whole", *sets)
    losses = {record["step"]: record["loss/total"] for record in metrics(path) if record["kind"] == "valid"}
    assert min(losses, key=lambda step: losses[step]) == best, losses
    for one in (path, train(path.with_name("cut"), resume=True)):
        assert checkpoint.pointed(RunDirectory(one), "best") == f"step-{best:08d}"
        assert checkpoint.load(one / "checkpoints" / f"step-{best:08d}").state["best"] == losses[best]


def test_validation_is_of_the_averaged_weights_with_the_same_noise_each_time(run: Go) -> None:
    plain, averaged = metrics(run("a")), metrics(run("b", "train.ema=0.9"))
    for first, second in zip(plain, averaged, strict=True):
        if first["kind"] == "train":
            assert first == second  # the average changes nothing of the training
        else:
            assert first["loss/total"] != second["loss/total"]
            assert first["loss/total_sampled"] != second["loss/total_sampled"]
    still = [record for record in metrics(run("c", "train.optimizer.lr=1e-30")) if record["kind"] == "valid"]
    assert len(still) == 3
    assert all({**record, "step": 0} == {**still[0], "step": 0} for record in still)
    assert still[0]["loss/total"] == pytest.approx(still[0]["loss/distortion"] + 0.5 * still[0]["loss/kl"])


def test_modules_are_in_training_mode_and_kernels_deterministic_at_every_step(
    run: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    one = Trainer._one

    def patched(self: Trainer, phase: Any) -> None:
        seen.append((self.system.training, torch.backends.cudnn.deterministic))
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", patched)
    before = torch.backends.cudnn.deterministic
    run("a")
    assert seen == [(True, True)] * 24
    assert torch.backends.cudnn.deterministic == before


def test_each_phase_begins_an_epoch_and_second_batches_have_an_order_of_their_own(
    run: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[list[int]]] = []
    update = Update.run

    def patched(self: Update, number: int, micro_batches: Any, learn: Any, size: int) -> None:
        assert size == 140
        drawn.append([rows.tolist() for rows in micro_batches[0]])
        update(self, number, micro_batches, learn, size)

    monkeypatch.setattr(Update, "run", patched)
    run("a", "train.phases=[{steps=3},{steps=8},{steps=13}]", 'model.regularizers=[{name="factor_tc",width=4,depth=1}]')
    for stream in (0, 1):
        rows = [row for step in drawn[3:11] for row in step[stream]]
        assert len(rows) == len(set(rows)) == 128  # all whole batches of an epoch of 140 rows
    assert all(set(first) != set(second) for first, second in drawn)


def test_other_rows_as_many_as_before_are_refused_on_resume(
    run: Go, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 12, raise_stop)
    with pytest.raises(Stop):
        run("cut", "data.subset={group=[0,1]}")
    # Two training rows, one of the subset and one not, change places: as many rows, but not the same.
    groups = np.load(spec.parent / "y.npy")
    data = open_source(read_spec(spec).data, spec.parent, Registry(), torch.device("cpu"))
    rows = data.rows("train")
    inside, outside = rows[groups[rows] < 2][0], rows[groups[rows] >= 2][0]
    groups[[inside, outside]] = groups[[outside, inside]]
    np.save(spec.parent / "y.npy", groups)
    with pytest.raises(CheckpointError, match="training rows are not those"):
        train(spec.parent / "runs" / "cut", resume=True)


def test_a_constant_feature_is_standardised_to_zero(spec: Path) -> None:
    x = np.load(spec.parent / "x.npy")
    x[:, 2] = 7.0
    np.save(spec.parent / "x.npy", x)
    path = train(spec, sets=["data.standardize=true"], run=spec.parent / "runs" / "a")
    model = tensors.load(path / "model" / "model.safetensors")
    assert (float(model["offset"][2]), float(model["scale"][2])) == (7.0, 1.0)
    assert np.isfinite(metrics(path)[-1]["loss/total"])


@pytest.mark.parametrize("target", ["model.regularizers.kl.weight=2.0", "model.likelihood.scale=0.5"])
def test_a_weight_changes_the_gradient(run: Go, target: str) -> None:
    before = metrics(run("a", "train.steps=1", "train.log_every=1"))[0]["gradient_norm"]
    after = metrics(run("b", "train.steps=1", "train.log_every=1", target))[0]["gradient_norm"]
    assert before != after


def test_standardised_vectors_come_back_in_their_own_units(spec: Path) -> None:
    x = np.load(spec.parent / "x.npy") * 100 + 1000
    np.save(spec.parent / "x.npy", x)
    path = train(spec, sets=["data.standardize=true", "train.steps=300"], run=spec.parent / "runs" / "a")
    view = open_run(RunDirectory(path))
    back = view.model(torch.from_numpy(x)).detach().numpy()
    assert np.abs(back.mean(axis=0) - x.mean(axis=0)).max() < 20
    assert ((back - x) ** 2).mean() < 0.5 * x.var(axis=0).mean()
    assert tensors.load(path / "model" / "model.safetensors")["offset"].mean() > 900
