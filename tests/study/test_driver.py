"""Studies that run: real processes, killed, starved and started twice."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aerepr import atomic
from aerepr.errors import RunDirectoryError, UsageError
from aerepr.rundir import checkpoint, layout
from aerepr.rundir.layout import RunDirectory
from aerepr.study.drive import Quiet
from aerepr.study.folder import StudyFolder, is_locked, locked
from aerepr.study.plan import read_plan
from aerepr.study.record import records
from aerepr.workflows import study as workflow
from aerepr.workflows.runs import listing
from aerepr.workflows.study import run
from aerepr.workflows.train import train
from tests.study.conftest import AXES
from tests.training.conftest import same

ROOT = Path(__file__).parents[2]
ONE = """
[axes]
seed = [7]
[[evaluate]]
metrics = ["reconstruction", "mig"]
"""
# Processes that are none of ours, and end at once.
KILLED = [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"]
ON_GPU = [sys.executable, "-S", "-c", "import os, sys; sys.exit(os.environ.get('CUDA_VISIBLE_DEVICES', 'any'))"]
MUTE = [sys.executable, "-S", "-c", "import sys; sys.exit('no module named torch')"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


class Log(Quiet):
    """What an onlooker is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def begin(self, name: str, total: int, done: int, failed: int) -> None:
        self.told.append(("begin", name, f"{total} {done} {failed}"))

    def start(self, run: str) -> None:
        self.told.append(("start", run))

    def progress(self, run: str, what: str, done: int, total: int) -> None:
        self.told.append(("progress", what))

    def message(self, text: str) -> None:
        self.told.append(("message", text))

    def end(self, run: str, state: str, error: str) -> None:
        self.told.append(("end", run, state))

    def of(self, kind: str) -> list[tuple[str, ...]]:
        return [item[1:] for item in self.told if item[0] == kind]


def states(folder: Path) -> Counter[str]:
    return Counter(record.state for record in records(folder).records)


def test_an_arm_without_data_fails_alone_and_is_tried_again_on_request(study_file, tmp_path: Path) -> None:
    axes = """
[axes.data.here]
[axes.data.gone]
data.path = "gone.npy"
[[evaluate]]
metrics = ["reconstruction", "mig"]
[[evaluate]]
id = "all"
split = "all"
rows = 10
metrics = ["reconstruction", "frechet"]
settings = { frechet = { features = "judge", rows = 10 } }
"""
    study, log = study_file(axes), Log()
    answer = run(study, jobs=2, onlooker=log)
    assert answer["states"] == {"done": 1, "failed": 1, "interrupted": 0, "running": 0, "missing": 0}
    here, gone = records(Path("runs/small")).records
    assert (here.levels, gone.levels) == ({"data": "here"}, {"data": "gone"})
    assert gone.error.startswith(f"{tmp_path / 'gone.npy'}: ")
    assert "\n" not in gone.error
    assert gone.run is None
    assert set(here.metrics) >= {"reconstruction.mse", "all/reconstruction.mse"}
    assert here.protocols["all/reconstruction"] != here.protocols["reconstruction"]
    # A metric that this data does not admit is no failure, nor is one that lacks a file.
    no_factors = {"mig": 'metric "mig" needs ground-truth factors, and this data set has none'}
    assert here.refused.items() > no_factors.items()
    assert 'no run named "judge"' in here.refused["all/frechet"]
    assert log.told[:3] == [("begin", "small", "2 0 0"), ("start", "data=here"), ("start", "data=gone")]
    assert {("progress", "train"), ("end", "data=here", "done"), ("end", "data=gone", "failed")} <= set(log.told)
    # The run is what `train` makes of its spec, and a run like any other.
    alone = train(read_plan(study).runs[0].spec, runs=tmp_path / "alone")
    assert here.run is not None
    assert same(alone, here.run)
    assert [row.state for row in listing(Path("runs"))] == ["done"]
    assert layout.find(Path("runs"), "small").path == here.run

    log = Log()
    assert run(study, onlooker=log) == answer
    assert log.told == [("begin", "small", "2 1 1")]  # neither done again nor tried again
    # On request; and once its file is there, what was refused is computed, and no other number.
    np.save(tmp_path / "gone.npy", np.load(tmp_path / "points.npy"))
    shutil.copytree(alone, tmp_path / "judge")
    place, kept = StudyFolder(Path("runs/small")), RunDirectory(here.run)
    tables = place.evaluation(kept)
    tables["all"]["metrics"]["reconstruction.mse"] = 0.5
    place.write_evaluation(kept, tables)
    log = Log()
    assert run(study, jobs=2, retry_failed=True, onlooker=log)["states"]["done"] == 2
    assert log.told[0] == ("begin", "small", "2 0 0")
    assert log.of("start") == [("data=here",), ("data=gone",)]
    here = records(Path("runs/small")).records[0]
    assert here.refused == no_factors
    assert here.metrics["all/reconstruction.mse"] == 0.5
    assert "all/frechet.reconstruction@features=judge,rows=10" in here.metrics
    assert {"all/reconstruction", "all/frechet"} <= here.protocols.keys()
    assert not list(Path("runs").rglob("logs/*"))


def test_a_study_grows_and_is_evaluated_anew_without_training(study_file) -> None:
    folder = Path("runs/small")
    run(study_file(ONE))
    before = records(folder).records[0]
    trained = {path: path.stat().st_mtime_ns for path in before.run.rglob("*") if "evaluation" not in str(path)}
    log = Log()
    run(study_file(ONE.replace('"mig"]', '"active_units"]\nrows = 7').replace("[7]", "[8, 7]")), onlooker=log)
    first, second = records(folder).records
    assert (first.levels, second.levels) == ({"seed": "8"}, {"seed": "7"})
    assert (second.run, second.hash, second.state) == (before.run, before.hash, "done")
    assert "7 of 24 rows" in second.protocols["reconstruction"]
    assert any(key.startswith("active_units.") for key in second.metrics), second
    assert second.refused == {}
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert log.of("start") == [("seed=8",), ("seed=7",)]

    # What the study no longer has is refused, and nothing is touched.
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    study = study_file(ONE.replace("[7]", "[8]"), ("steps = 60", "steps = 61"))
    with pytest.raises(UsageError) as caught:
        run(study)
    assert str(caught.value).splitlines() == [
        "runs/small: holds 2 runs that the study no longer has, such as seed=8:",
        "  spec.train.steps: 60 there, 61 here",
        "  axes.seed: [8, 7] there, [8] here",
        "axes and levels can be added; for anything else give the study another name, or remove that folder",
    ]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept


def test_a_driver_killed_at_any_moment_loses_nothing(study_file, tmp_path: Path) -> None:
    """Killed at a step, its process saves itself and ends; then while it evaluates; the third one finishes."""
    study = study_file(ONE, ("steps = 60", "steps = 1500"))
    command = [sys.executable, "-m", "tests.study.killed", str(study), str(tmp_path / "runs")]

    def drive(moment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, moment], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    assert drive("train").returncode == -9
    folder = StudyFolder(tmp_path / "runs" / "small")
    # The next one waits for the process of the one before, if that is still at work.
    assert drive("evaluate").returncode == -9
    (path,) = [row.path for row in listing(tmp_path / "runs")]
    log = (Path(path) / "log.txt").read_text()
    assert "step 0 of 1500" in log
    steps = [int(line.split(": step ")[1].split()[0]) for line in log.splitlines() if " of 1500" in line]
    assert len(steps) == 2, log
    assert 0 < steps[1] < 1500
    assert run(study, runs=tmp_path / "runs")["states"]["done"] == 1
    assert not is_locked(folder)
    assert same(train(read_plan(study).runs[0].spec, runs=tmp_path / "alone"), Path(path))
    assert not [left for left in folder.path.rglob("*.part.*")]
    assert json.loads((Path(path) / "evaluation" / "study.json").read_text())[""]["metrics"]


def test_a_second_driver_is_refused(study_file, tmp_path: Path) -> None:
    study = study_file(ONE)
    folder = StudyFolder(tmp_path / "runs" / "small")
    with locked(folder):
        assert is_locked(folder)
        with pytest.raises(RunDirectoryError, match=f"another `aerepr study run` is at work .*process {os.getpid()}"):
            run(study)
        assert not folder.plan.exists()
    assert not is_locked(folder)


def test_a_full_disk_stops_the_rest(study_file, tmp_path: Path) -> None:
    study, log = study_file(), Log()
    answer = run(study, worker=[sys.executable, str(ROOT / "tests" / "study" / "full_disk.py")], onlooker=log)
    assert answer["states"] == {"done": 0, "failed": 1, "interrupted": 0, "running": 0, "missing": 1}
    failed = answer["runs"][0]
    assert "the disk is full" in failed["error"]
    assert ("the disk is full: 1 runs are not begun; free some space and run the study again with --retry-failed",) in (
        log.of("message")
    )
    assert checkpoint.folders(RunDirectory(Path(failed["run"]))) == []
    assert not [left for left in Path("runs").rglob("*.part.*")]
    again = run(study_file(AXES.replace("[1, 2]", "[1]")), retry_failed=True)
    assert again["states"] == {"done": 1, "failed": 0, "interrupted": 0, "running": 0, "missing": 0}
    assert again["runs"][0]["run"] == failed["run"]


@pytest.mark.full
def test_a_disk_that_is_full_at_the_evaluation_costs_no_training(study_file) -> None:
    study, worker = study_file(ONE), [sys.executable, str(ROOT / "tests" / "study" / "full_disk.py"), "study.json"]
    (failed,) = run(study, worker=worker)["runs"]
    assert (failed["state"], "the disk is full" in failed["error"]) == ("failed", True)
    assert RunDirectory(Path(failed["run"])).state == "done"
    assert not [left for left in Path("runs").rglob("*.part.*")]
    model = {path: path.stat().st_mtime_ns for path in Path(failed["run"]).rglob("model/*")}
    (again,) = run(study, retry_failed=True)["runs"]
    assert (again["state"], again["run"]) == ("done", failed["run"])
    assert {path: path.stat().st_mtime_ns for path in model} == model


@pytest.mark.parametrize(
    ("worker", "error"),
    [
        (KILLED, "its process was killed by SIGKILL, as the system does where memory runs out"),
        (MUTE, "its process ended with exit code 1: no module named torch"),
        (["no-such-program"], "no process could be started: No such file or directory"),
    ],
)
def test_a_process_that_cannot_tell_what_happened(study_file, worker, error) -> None:
    answer = run(study_file(), worker=worker)
    assert [item["error"] for item in answer["runs"]] == [error, error]
    assert answer["states"]["failed"] == 2
    if worker is MUTE:
        assert [path.read_text().strip() for path in Path("runs/small/logs").iterdir()] == ["no module named torch"] * 2


def test_the_failures_cannot_be_written_either(study_file, monkeypatch) -> None:
    flush = atomic._flush

    def full(path: Path) -> None:
        if "failures.json" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(path)

    monkeypatch.setattr(atomic, "_flush", full)
    log = Log()
    assert run(study_file(), worker=KILLED, onlooker=log)["states"]["missing"] == 2
    assert [run_ for run_, state in log.of("end") if state == "failed"] == [
        "model.latent_dim=1 seed=0",
        "model.latent_dim=2 seed=0",
    ]
    for (message,) in log.of("message"):
        assert message.startswith("runs/small/failures.json: cannot be written: ")
        assert "No space left on device" in message or "the disk is full" in message
    assert len(log.of("message")) == 2
    assert not [left for left in Path("runs").rglob("*.part.*")]


def test_each_process_sees_its_own_gpu(study_file, monkeypatch) -> None:
    monkeypatch.setattr(workflow, "_gpus", lambda: ["3", "5"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    # Four at a time: a run that is not on a GPU takes none, whatever its slot.
    devices = ["auto", "auto", "cpu", "cpu"]
    levels = (f'{place} = {{ seed = {place}, train.device = "{device}" }}\n' for place, device in enumerate(devices))
    answer = run(study_file("[axes.of]\n" + "".join(levels), ('device = "cpu"\n', "")), jobs=4, worker=ON_GPU)
    seen = [item["error"].removeprefix("its process ended with exit code 1: ") for item in answer["runs"]]
    assert seen == ["3", "5", "any", "any"]


def test_each_process_has_its_share_of_the_machine(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    assert workflow._slots(2, []) == [{}, {}]  # OMP_NUM_THREADS is the user's
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert workflow._slots(3, ["0", "1"]) == [
        {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"},
        {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1"},
        {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"},
    ]
    assert workflow._slots(16, [])[0] == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setattr(workflow.torch.cuda, "device_count", lambda: 2)
    assert workflow._gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert workflow._gpus() == ["3", "5"]
    monkeypatch.setattr(workflow.torch.cuda, "device_count", lambda: 1)
    assert workflow._gpus() == []
