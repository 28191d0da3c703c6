"""How a study stands is read off its folder: one state for each way a run can have been left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aerepr.errors import RunDirectoryError, UsageError
from aerepr.rundir import layout, manifest
from aerepr.rundir.layout import RunDirectory
from aerepr.study import folder as folders
from aerepr.study.adopt import adopt
from aerepr.study.folder import StudyFolder, find, is_locked, locked
from aerepr.study.plan import Plan, read_plan
from aerepr.study.record import Record, records
from aerepr.workflows.train import train

AXES = '[axes]\nseed = [0, 1]\n[[evaluate]]\nid = "some"\nmetrics = ["reconstruction"]'


@pytest.fixture
def plan(study_file) -> Plan:
    return read_plan(study_file(AXES, ("steps = 60", "steps = 3")))


@pytest.fixture
def study(plan: Plan) -> StudyFolder:
    found = StudyFolder(Path("runs") / plan.name)
    adopt(found, plan)
    return found


def begun(plan: Plan, place: int = 0) -> RunDirectory:
    """A run directory as it is before the first step."""
    run = layout.create(Path("runs"), plan.runs[place].spec)
    manifest.write(run, plan.runs[place].spec, None, {"folder": "."})
    return run


def first(study: StudyFolder) -> Record:
    return records(study.path).records[0]


def test_a_study_that_has_not_begun(study: StudyFolder) -> None:
    found = records(study.path)
    assert (found.name, found.axes) == ("small", {"seed": ["0", "1"]})
    assert [(item.levels["seed"], item.state, item.run) for item in found.records] == [
        ("0", "missing", None),
        ("1", "missing", None),
    ]


def test_a_run_without_a_marker_is_running_as_long_as_somebody_is_at_work(plan: Plan, study: StudyFolder) -> None:
    run = begun(plan)
    assert first(study).state == "interrupted"
    with locked(study):
        assert (first(study).state, first(study).run) == ("running", run.path)
        run.mark("interrupted")
        assert first(study).state == "interrupted"
    run.mark("running")
    adopt(study, plan)
    assert (run.path / "INTERRUPTED").read_text() == "its process was killed\n"


def test_failed_runs_and_failures_that_are_past(plan: Plan, study: StudyFolder) -> None:
    hash_ = plan.runs[0].hash
    failure = {"error": "why", "stage": "train", "run": "", "asked": {}}
    study.write_failures({hash_: failure})
    assert (first(study).state, first(study).error) == ("failed", "why")
    run = begun(plan)
    assert first(study).state == "interrupted"  # that failure was of no run
    study.write_failures({hash_: failure | {"run": run.path.name}})
    assert first(study).state == "failed"
    study.write_failures({})
    run.mark("failed", "TrainingError: a\nb")
    assert (first(study).state, first(study).error) == ("failed", "TrainingError: a b")


def test_done_is_trained_and_evaluated_as_asked(plan: Plan, study: StudyFolder) -> None:
    run = RunDirectory(train(plan.runs[0].spec, runs="runs"))
    assert first(study).state == "interrupted"
    asked = plan.evaluate[0].asked()
    failure = {"error": "why", "stage": "evaluate", "run": run.path.name, "asked": {"some": asked}}
    study.write_failures({plan.runs[0].hash: failure})
    assert first(study).state == "failed"
    study.write_failures({plan.runs[0].hash: failure | {"asked": {"some": asked | {"rows": 1}}}})
    assert first(study).state == "interrupted"  # another evaluation is asked by now

    kept = {
        "asked": asked,
        "spec_hash": plan.runs[0].hash,
        "metrics": {"reconstruction.mse": 0.5, "reconstruction.psnr": "inf"},
        "protocols": {"reconstruction": "of rows"},
        "refused": {"mig": "no factors"},
    }
    study.write_evaluation(run, {"some": kept})
    found = first(study)
    assert (found.state, found.run) == ("done", run.path)
    assert found.metrics == {"some/reconstruction.mse": 0.5, "some/reconstruction.psnr": float("inf")}
    assert (found.protocols, found.refused) == ({"some/reconstruction": "of rows"}, {"some/mig": "no factors"})
    for change in ({"asked": asked | {"seed": 1}}, {"spec_hash": "0"}):
        study.write_evaluation(run, {"some": kept | change})
        assert (first(study).state, first(study).metrics) == ("interrupted", {})
    (run.product("evaluation") / "study.json").write_text('{"some": ')
    assert first(study).state == "interrupted"

    # Continued to another spec, the folder keeps its name and the run is no longer the study's.
    train(run=run.path, resume=True, sets=["train.steps=5"])
    assert (first(study).state, first(study).run) == ("missing", None)


def test_what_a_killed_process_left_before_there_was_a_run(plan: Plan, study: StudyFolder) -> None:
    left = layout.create(Path("runs"), plan.runs[0].spec).path
    (left / "env.json").write_text("{}")
    (left / ".12ab.part.spec.resolved.json").write_text("{")
    kept = left.with_name(f"20200101T000000Z-{plan.runs[1].hash[:8]}")
    kept.mkdir()
    (kept / "notes.txt").write_text("mine")
    adopt(study, plan)
    assert not left.exists()
    assert (kept / "notes.txt").exists()


def test_which_study_is_meant(study: StudyFolder, study_file) -> None:
    path = Path("runs/small")
    for asked in (None, "small", "runs/small", str(study_file(AXES))):
        assert find(Path("runs"), asked).path == path
    with pytest.raises(UsageError, match='no study "large" here'):
        find(Path("runs"), "large")
    with pytest.raises(UsageError, match="no study here"):
        find(Path("elsewhere"))
    study.plan.write_text("{")
    with pytest.raises(RunDirectoryError, match="plan.json: cannot be read"):
        records(path)


def test_a_lock_whose_driver_was_killed_is_waited_for(study: StudyFolder, monkeypatch) -> None:
    """What a killed driver started still holds it, and lets go when it has ended."""
    script = (
        "import fcntl, os, sys, time; fcntl.flock(0, fcntl.LOCK_EX); print(flush=True); time.sleep(float(sys.argv[1]))"
    )
    handle = os.open(study.lock, os.O_RDWR | os.O_CREAT)

    def hold(seconds: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", script, str(seconds)]
        process = subprocess.Popen(command, stdin=handle, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        return process

    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    study.lock.write_text(f"{gone.pid}\n")
    process = hold(0.5)
    os.close(handle)
    began = time.monotonic()
    with locked(study):
        assert time.monotonic() - began > 0.2
        assert study.lock.read_text() == f"{os.getpid()}\n"
    process.wait()
    assert not is_locked(study)
    monkeypatch.setattr(folders, "GRACE_S", -10)
    handle = os.open(study.lock, os.O_RDWR)
    process = hold(60)
    os.close(handle)
    with pytest.raises(RunDirectoryError, match="another `aerepr study run` is at work"), locked(study):
        pass
    process.kill()
    process.wait()


def test_levels_may_be_dropped_that_have_no_run(plan: Plan, study: StudyFolder, study_file) -> None:
    begun(plan, 0)
    fewer = read_plan(study_file(AXES.replace("[0, 1]", "[0, 2]"), ("steps = 60", "steps = 3")))
    adopt(study, fewer)
    assert records(study.path).axes == {"seed": ["0", "2"]}
    assert json.loads(study.plan.read_text())["folder"] == str(Path.cwd())
    with pytest.raises(UsageError, match=r"holds 1 runs .* such as seed=0:\n  axes.seed: \[0, 2\] there, \[2\] here"):
        adopt(study, read_plan(study_file(AXES.replace("[0, 1]", "[2]"), ("steps = 60", "steps = 3"))))
