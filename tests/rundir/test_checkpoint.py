"""Which checkpoints are kept, and what points to them."""

from __future__ import annotations

from pathlib import Path

import torch

from aerepr.rundir import checkpoint
from aerepr.rundir.checkpoint import Checkpoint
from aerepr.rundir.layout import RunDirectory


def test_the_last_three_and_the_best_are_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for step in range(10, 70, 10):
        found = Checkpoint(step, {"w": torch.full((2,), float(step))}, {}, {"note": step})
        checkpoint.save(run, found, best=step == 20)
        assert checkpoint.pointed(run, "last") == f"step-{step:08d}"
    assert checkpoint.pointed(run, "best") == "step-00000020"
    kept = [int(folder.name.removeprefix("step-")) for folder in checkpoint.folders(run)]
    assert kept == [20, 40, 50, 60]
    newest, passed_over = checkpoint.load_last(run)
    assert newest is not None
    assert (newest.step, newest.state, passed_over) == (60, {"note": 60, "is_best": False}, [])
    assert torch.equal(newest.model["w"], torch.full((2,), 60.0))
