"""A study whose driver and workers are killed again and again, at moments drawn from a seed, ends as if undisturbed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aerepr.study.record import records
from aerepr.workflows.study import run
from aerepr.workflows.study_results import rendered, study_table
from tests.training.conftest import same

# One arm begins with the other, so that kills fall before, in and after a branch, too.
ARMS = """
[axes]
seed = [0, 1]
[axes.learn.decoder]
train.phases = [{ steps = 600 }, { steps = 600, learn = ["decoder"] }]
[axes.learn.neither]
train.phases = [{ steps = 600 }]
[[evaluate]]
metrics = ["reconstruction", "mig"]
[[evaluate]]
id = "all"
metrics = ["reconstruction", "active_units"]
split = "all"
"""
KILLS = 5


def command(study: Path, runs: Path, driver: float = 0.0, worker: float = 0.0) -> int:
    """Drive a study in a process of its own; gives its exit code."""
    program = str(Path(__file__).with_name("doomed.py"))
    arguments = [sys.executable, program, str(study), str(runs), str(driver), str(worker)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(arguments, env=environment, check=False, capture_output=True, timeout=300).returncode


def killed_workers(folder: Path) -> int:
    """How many of the last driver's processes were killed before it ended."""
    if not (folder / "plan.json").exists():
        return 0
    return sum("killed by SIGKILL" in record.error for record in records(folder).records)


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kills_at_any_moment_change_nothing(study_file, tmp_path: Path, monkeypatch, seed: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = study_file(
        ARMS, ("[spec.train]\nsteps = 60\n", "[spec.train]\n"), ("checkpoint_every = 50", "checkpoint_every = 40")
    )
    began = time.monotonic()
    assert command(study, tmp_path / "whole") == 0
    whole_s = time.monotonic() - began
    draws = random.Random(seed)
    # What the test is about, should it fail: who was to be killed when, and how many were.
    told: list[tuple[dict[str, float], int]] = []
    for _ in range(KILLS):
        # Either of them, or both, each at a moment of its own; a worker lives about half as long as the study takes.
        who = draws.choice([("driver",), ("worker",), ("driver", "worker")])
        moments = {name: round(draws.uniform(0.1, 0.6 if name == "driver" else 0.4) * whole_s, 2) for name in who}
        code = command(study, tmp_path / "killed", **moments)
        assert code in (-9, 0), (told, moments)
        told.append((moments, (code == -9) + killed_workers(tmp_path / "killed" / "small")))
    assert sum(count for _, count in told) > 2, told
    assert run(study, runs=tmp_path / "killed", jobs=2, retry_failed=True)["states"]["done"] == 4, told
    tables = [rendered(study_table(tmp_path / name / "small", metrics=["all"]), "json") for name in ("whole", "killed")]
    assert tables[0] == tables[1], told
    pairs = zip(*(records(tmp_path / name / "small").records for name in ("whole", "killed")), strict=True)
    assert all(same(Path(str(one.run)), Path(str(other.run))) for one, other in pairs), told
