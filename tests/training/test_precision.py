"""What `auto` precision takes: a mode that agrees with fp32 on the device, else fp32, with a warning and a record."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aerepr.spec.training import TrainSpec
from aerepr.training import precision
from aerepr.training.precision import Check, compare, layers, resolve

CPU = torch.device("cpu")
Compute = Callable[[str, torch.device], dict[str, Tensor]]


def spoilt(name: str, change: Callable[[Tensor], Tensor]) -> Compute:
    """The comparison's layers with one result changed, as a wrong kernel would."""

    def compute(mode: str, device: torch.device) -> dict[str, Tensor]:
        found = layers(mode, device)
        return found | {name: change(found[name])}

    return compute


def test_bf16_of_this_processor_keeps_its_bound_and_is_not_fp32() -> None:
    check = compare("bf16", CPU)
    assert check.passed
    assert check.bound == 4 * 2**-7
    assert 2**-11 < check.error < check.bound


def test_fp32_agrees_with_itself_exactly_and_the_comparison_is_deterministic() -> None:
    first, second = layers("fp32", CPU), layers("fp32", CPU)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(float(value.abs().mean()) > 1e-3 for value in first.values())


def test_a_mode_with_fewer_bits_than_it_says_does_not_pass() -> None:
    found = compare("tf32", CPU, lambda _, device: layers("bf16", device))
    assert found.bound == 4 * 2**-10
    assert not found.passed


@pytest.mark.parametrize("name", ["output", "input gradient", "convolution gradient", "linear gradient"])
@pytest.mark.parametrize(
    "change",
    [lambda value: value * 1.1, lambda value: -value, torch.zeros_like, lambda value: value * torch.nan],
    ids=["scaled", "negated", "zero", "nan"],
)
def test_a_wrong_result_does_not_pass_and_is_named(name: str, change: Callable[[Tensor], Tensor]) -> None:
    found = compare("bf16", CPU, spoilt(name, change))
    assert not found.passed
    assert found.of == name


@pytest.mark.parametrize(
    ("there", "chosen"), [({"cuda", "mps"}, "cuda"), ({"mps"}, "mps"), (set(), "cpu")], ids=["both", "mps", "none"]
)
def test_auto_takes_the_first_device_that_is_there(
    monkeypatch: pytest.MonkeyPatch, there: set[str], chosen: str
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)  # none of these devices need be here
    assert precision.choose_device("auto") == torch.device(chosen)


def settled(monkeypatch: pytest.MonkeyPatch, compute: Compute, asked: str = "auto") -> precision.Numerics:
    """What a spec's precision becomes on a device whose candidate is bf16, computed as given."""
    monkeypatch.setattr(precision, "candidate", lambda device: "bf16")
    monkeypatch.setattr(precision, "compare", lambda mode, device: compare(mode, device, compute))
    return resolve(TrainSpec(steps=1, precision=asked), False, CPU)  # type: ignore[arg-type]


def test_auto_takes_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settled(monkeypatch, layers)
    assert found.precision == "bf16"
    assert found.warning is None
    assert found.record()["check"].keys() == {"mode", "error", "of", "bound", "passed"}
    assert found.record()["check"]["passed"] is True


def test_auto_falls_back_to_fp32_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settled(monkeypatch, spoilt("output", lambda value: value * 1.1))
    assert found.precision == "fp32"
    assert found.warning is not None
    assert "auto would be bf16 on cpu, but its output is off by 0.1 of fp32" in found.warning
    check = found.record()["check"]
    assert (check["mode"], check["of"], check["passed"]) == ("bf16", "output", False)
    assert check["error"] > check["bound"]


def test_what_is_asked_for_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settled(monkeypatch, spoilt("output", torch.zeros_like), "bf16")
    assert found.precision == "bf16"
    assert found.check is None


def test_the_processor_is_fp32_without_a_check() -> None:
    found = resolve(TrainSpec(steps=1), False, CPU)
    assert (found.precision, found.check, found.warning) == ("fp32", None, None)


def test_an_error_that_is_no_number_is_still_json() -> None:
    record = Check("bf16", math.inf, "output", 0.1).record()
    assert record["error"] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_run_records_the_check_and_warns(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "candidate", lambda device: "bf16")
    passed = json.loads((run("a", "train.steps=1") / "env.json").read_text())["resolved"]
    assert passed["precision"] == "bf16"
    assert passed["check"]["passed"] is True
    monkeypatch.setattr(
        precision, "compare", lambda mode, device: compare(mode, device, spoilt("output", torch.zeros_like))
    )
    path = run("b", "train.steps=1")
    failed = json.loads((path / "env.json").read_text())["resolved"]
    assert failed["precision"] == "fp32"
    assert failed["check"]["of"] == "output"
    assert "fp32 is used" in (path / "log.txt").read_text()
