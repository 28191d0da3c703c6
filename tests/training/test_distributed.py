"""Two processes train as one: the same noise, the same batch, the same weights up to the order of sums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from aerepr.workflows.train import train
from tests.training.conftest import metrics, weights

ROOT = Path(__file__).parents[2]


def test_two_processes_equal_one(spec: Path) -> None:
    runs = spec.parent / "runs"
    alone = train(spec, run=runs / "alone")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += ["-m", "aerepr", "train", str(spec), "--runs", str(runs)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = weights(alone), weights(next(runs.glob("small/*")))
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=1e-4)
    last_one, last_two = metrics(alone)[-1], metrics(next(runs.glob("small/*")))[-1]
    assert last_one.keys() == last_two.keys()
    assert abs(last_one["loss/total"] - last_two["loss/total"]) < 1e-3 * abs(last_one["loss/total"])
