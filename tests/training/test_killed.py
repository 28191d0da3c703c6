"""`kill -9` and Ctrl-C at any moment, inside a write too, and a disk that takes no more: nothing is half-written, and the
resumed run ends with the same bits.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aerepr.rundir import bundle, checkpoint
from aerepr.rundir.layout import RunDirectory
from tests.training.conftest import same, small

ROOT = Path(__file__).parents[2]


def launch(
    python: Path, spec: Path, run: Path, event: int | str, how: str, *more: str
) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "tests.training.killed", str(spec), str(run), str(event), how, *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


def whole(run: Path) -> bool:
    """Whether everything under a final name in a run directory can be read."""
    for folder in checkpoint.folders(RunDirectory(run)):
        checkpoint.load(folder)
    for pointer in ("last", "best"):
        pointed = checkpoint.pointed(RunDirectory(run), pointer)
        assert pointed is None or (run / "checkpoints" / pointed / "state.json").is_file()
    for file in [path for path in run.glob("*.json") if not path.name.startswith(".")]:
        json.loads(file.read_text())
    if (run / "model").is_dir():
        bundle.load(RunDirectory(run))
    return True


def resume(python: Path, spec: Path, run: Path, uncut: Path) -> None:
    """Continue a run, which then is the uncut one, pointers and all, with nothing left aside."""
    done = launch(python, spec, run, "never", "kill", "--resume")
    assert done.returncode == 0, done.stderr
    assert not list(run.rglob(".*")), "something was left aside"
    assert all(json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    for pointer in ("last", "best"):
        assert checkpoint.pointed(RunDirectory(run), pointer) == checkpoint.pointed(RunDirectory(uncut), pointer)
    assert same(uncut, run), run.name


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory, warm: Path) -> tuple[Path, Path, list[str]]:
    """The spec, a run of it that nothing stopped, and the events of that."""
    spec = small(tmp_path_factory.mktemp("killed"))
    run = spec.parent / "runs" / "whole"
    done = launch(warm, spec, run, "never", "kill")
    assert done.returncode == 0, done.stderr
    return spec, run, done.stdout.splitlines()[:-1]  # the last line is the run's path


def test_ten_kills_at_random_moments(uncut: tuple[Path, Path, list[str]], warm: Path) -> None:
    spec, before, events = uncut
    # Earlier there is no run to continue, and nothing half-written either.
    first = events.index("setup") + 1
    early = before.with_name("early")
    assert launch(warm, spec, early, first - 3, "kill").returncode == -9
    assert whole(early)

    # Halves of a record, of weights and of the bundle are on disk; a best checkpoint is there that no pointer names.
    halves = ["append valid 16", "write checkpoints/step-00000016/train.safetensors", "write model/codes.safetensors"]
    chosen = [events.index(name) + 1 for name in halves]
    chosen.append(events.index("flush checkpoints/last", events.index("flush checkpoints/step-00000008")) + 1)
    rest = [number for number in range(first, len(events) + 1) if number not in chosen]
    chosen += random.Random(0).sample(rest, 10 - len(chosen))

    def kill_and_resume(event: int) -> str:
        run = before.with_name(f"killed-{event}")
        killed = launch(warm, spec, run, event, "kill")
        assert killed.returncode == -9, killed.stderr
        assert killed.stdout.splitlines() == events[:event]
        assert whole(run)
        resume(warm, spec, run, before)
        return events[event - 1]

    with ThreadPoolExecutor(2) as pool:
        moments = list(pool.map(kill_and_resume, chosen))
    assert len(moments) == 10
    assert any(moment.startswith("step") for moment in moments), moments
    assert any(moment.startswith("flush checkpoints/step-") for moment in moments), moments


# What comes when; the exit code, what the run's marker says of it, and the last line a user sees.
STOPS = {
    "setup": ("setup", "interrupt", 130, "there is no checkpoint yet", "interrupted by SIGINT"),
    "step": ("step 7", "interrupt", 130, "at step 8 of 24, saved", "at step 8 of 24, saved"),
    "checkpoint": ("write checkpoints/step-00000010/model.safetensors", "interrupt", 130, "at step 11", "at step 11"),
    "again": ("write checkpoints/step-00000010/train.safetensors", "twice", 130, "step-00000008 stands", "by SIGINT"),
    "bundle": ("flush model/codes.safetensors", "interrupt", 130, "step-00000024 stands", "interrupted by SIGINT"),
    "disk": ("step 12", "limit", 1, "File too large", "cannot be written (File too large); nothing was replaced"),
}


# A first Ctrl-C between two steps is tried in `test_loop.py` too.
@pytest.mark.parametrize("stop", [pytest.param(key, marks=[pytest.mark.full] * (key == "step")) for key in STOPS])
def test_what_stops_a_run_is_told_in_a_line_and_nothing_is_lost(
    uncut: tuple[Path, Path, list[str]], warm: Path, stop: str
) -> None:
    spec, before, _ = uncut
    event, how, code, marked, said = STOPS[stop]
    run = before.with_name(stop)
    stopped = launch(warm, spec, run, event, how)
    assert stopped.returncode == code, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert said in stopped.stderr.splitlines()[-1]
    assert "a bug in aerepr" not in stopped.stderr
    marker = run / ("INTERRUPTED" if code == 130 else "FAILED")
    assert marked in marker.read_text()
    assert not list(run.rglob(".*")), "something was left aside"
    assert whole(run)
    resume(warm, spec, run, before)
