"""`kill -9` at any moment, inside a checkpoint too: nothing is half-written, and the resumed run ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aerepr.rundir import checkpoint, layout
from aerepr.rundir.layout import RunDirectory
from tests.training.conftest import same
from tests.training.killed import __file__ as script

ROOT = Path(__file__).parents[2]


def launch(python: Path, spec: Path, run: Path, event: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "tests.training.killed", str(spec), str(run), str(event), *more]
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
    if (run / "metrics.jsonl").exists():
        assert all(json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    return True


def test_ten_kills_at_random_moments(spec: Path, warm: Path) -> None:
    assert Path(script).is_file()
    runs = spec.parent / "runs"
    uncut = launch(warm, spec, runs / "whole", 0)
    assert uncut.returncode == 0, uncut.stderr
    total = int(uncut.stdout.split()[-1])
    generator = random.Random(0)
    events = generator.sample(range(5, total), 10)

    def kill_and_resume(event: int) -> str:
        run = runs / f"killed-{event}"
        killed = launch(warm, spec, run, event)
        assert killed.returncode == -9, killed.stderr
        if not layout.is_run(run):
            # Killed before the run directory was one: nothing to resume, nothing half-written either.
            return killed.stdout.strip()
        assert whole(run)
        resumed = launch(warm, spec, run, 0, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert same(runs / "whole", run), killed.stdout
        assert not list(run.rglob(".*")), "something was left aside"
        return killed.stdout.strip()

    with ThreadPoolExecutor(2) as pool:
        moments = list(pool.map(kill_and_resume, events))
    assert any(moment.startswith("step") for moment in moments)
    assert any("step-" in moment and moment.startswith("flush") for moment in moments), moments
