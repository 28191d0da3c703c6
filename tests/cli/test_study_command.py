"""`aerepr study run`: what is printed where, and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aerepr.cli.study_progress import Lines, Live
from aerepr.study.folder import StudyFolder, locked
from aerepr.study.plan import read_plan
from aerepr.workflows.train import train
from tests.study.conftest import SHARED

AXES = '[axes]\nseed = [0]\n[axes.data.here]\n[axes.data.gone]\ndata.path = "gone.npy"\n'
NOT_EVALUATED = "evaluate = []\n"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    np.save("points.npy", np.random.Generator(np.random.PCG64(0)).normal(size=(60, 3)).astype(np.float32))
    path = tmp_path / "study.toml"
    path.write_text(NOT_EVALUATED + SHARED + AXES)
    return path


def test_a_run_that_fails_makes_the_exit_code_one(aerepr, study: Path) -> None:
    train(read_plan(study).runs[0].spec, runs="runs")  # one that is there is taken for what it is
    done = aerepr("study", "run", study, "--json")
    assert done.exit_code == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["states"] == {"done": 1, "failed": 1, "interrupted": 0, "running": 0, "missing": 0}
    assert [run["levels"]["data"] for run in answer["runs"]] == ["here", "gone"]
    lines = done.stderr.splitlines()
    assert lines[:2] == ["small: 2 runs, 1 done before", "begun: seed=0 data=gone"]
    assert lines[2].startswith("[2/2] FAILED: seed=0 data=gone: ")
    assert "gone.npy" in lines[2]
    assert len(lines) == 3

    again = aerepr("study", "run", study)
    assert again.exit_code == 1
    assert again.stdout.splitlines()[0] == "runs/small: 1 done, 1 failed of 2 runs"
    assert "gone.npy" in again.stdout
    assert "--retry-failed" in again.stdout
    assert again.stderr == "small: 2 runs, 1 done before, 1 failed before\n"

    study.write_text(f"{NOT_EVALUATED}{SHARED}[axes]\nseed = [0]\n")  # the arm that never had a run may go
    whole = aerepr("study", "run", study)
    assert (whole.exit_code, whole.stdout) == (0, "runs/small: 1 done of 1 runs\n")

    # Another spec under that name, and a second driver, are refused.
    with locked(StudyFolder(Path("runs/small"))):
        second = aerepr("study", "run", study)
    assert (second.exit_code, second.stdout) == (1, "")
    assert second.stderr.startswith("error: runs/small: another `aerepr study run` is at work on this study (process ")
    study.write_text(study.read_text().replace("steps = 60", "steps = 61"))
    changed = aerepr("study", "run", study)
    assert (changed.exit_code, changed.stdout) == (2, "")
    assert changed.stderr.splitlines() == [
        "error: runs/small: holds 1 runs that the study no longer has, such as seed=0:",
        "  spec.train.steps: 60 there, 61 here",
        "axes and levels can be added; for anything else give the study another name, or remove that folder",
    ]


def test_what_is_wrong_with_the_file_is_usage(aerepr, study: Path) -> None:
    study.write_text(SHARED + '[axes]\n"trian.steps" = [1]\nseed = [-1]\n')
    done = aerepr("study", "run", study)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[0] == f"error: {study}: 2 problems"
    assert done.stdout == ""
    assert aerepr("study", "run", "nowhere.toml").exit_code == 2
    assert not Path("runs").exists()


def test_ctrl_c_saves_what_is_at_work(study: Path) -> None:
    study.write_text(SHARED.replace("steps = 60", "steps = 1000000") + "[axes]\nseed = [0]\n")
    command = [sys.executable, "-m", "aerepr", "study", "run", str(study), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 200
    while not list(Path("runs").glob("small/*/checkpoints/last")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "interrupted, saved: seed=0" in err
    assert "the same command goes on" in err
    assert json.loads(out)["states"]["interrupted"] == 1
    assert "Traceback" not in err
    assert list(Path("runs").glob("small/*/INTERRUPTED"))


def test_one_live_view_on_a_terminal() -> None:
    from io import StringIO

    from rich.console import Console
    from rich.progress import Progress

    screen = StringIO()
    with Progress(console=Console(file=screen, force_terminal=True, width=100), auto_refresh=False) as progress:
        view = Live(progress)
        view.begin("small", 4, 1, 0)
        view.start("seed=[1]")
        view.start("seed=2")
        view.progress("seed=[1]", "train", 50, 100)
        view.progress("seed=2", "train", 25, 100)
        whole = progress.tasks[0]
        assert (whole.completed, whole.total, whole.fields["what"]) == (1.75, 4, "1/4 runs")
        view.progress("seed=2", "evaluate", 1, 3)
        assert progress.tasks[2].fields["what"] == "evaluate 1/3"
        view.end("seed=2", "done", "")
        view.end("seed=[1]", "failed", "[why]")
        assert [task.description for task in progress.tasks] == ["small"]
        assert whole.completed == 3
    assert "[3/4] FAILED: seed=[1]: [why]" in screen.getvalue()


def test_lines_elsewhere(capsys, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("aerepr.cli.study_progress.time.monotonic", lambda: now[0])
    view = Lines()
    view.begin("small", 5, 0, 1)
    view.start("seed=0")
    view.end("seed=0", "done", "")  # trained before, and only evaluated here
    view.start("seed=1")
    view.progress("seed=1", "train", 1, 5)
    now[0] = 31.0
    view.progress("seed=1", "train", 2, 5)
    view.progress("seed=1", "train", 3, 5)
    view.start("seed=2")
    view.progress("seed=2", "train", 0, 5)
    view.progress("seed=2", "train", 1, 5)
    now[0] = 600.0
    # Four fifths of a run and one fifth were trained in 600 seconds; four fifths and a whole one are left.
    view.end("seed=1", "done", "")
    view.end("seed=2", "interrupted", "")
    assert capsys.readouterr().err.splitlines() == [
        "small: 5 runs, 0 done before, 1 failed before",
        "begun: seed=0",
        "[2/5] done in 0 s: seed=0",
        "begun: seed=1",
        "seed=1: train 2/5",
        "begun: seed=2",
        "[3/5] done in 10 min: seed=1; about 18 min left",
        "interrupted, saved: seed=2; about 20 min left",
    ]
