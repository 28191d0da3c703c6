"""Two processes train as one: the same noise, the same batch, the same weights up to the order of sums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aerepr.workflows.train import train
from tests.training.conftest import metrics, weights

ROOT = Path(__file__).parents[2]

# SGD, because Adam hides a factor in the gradient; a term of the whole batch, one with codes of a second batch and an
# adversary; accumulation, clipping, averaged weights.
EVERYTHING = (
    'train.optimizer={name="sgd",lr=0.02,betas=[0.5,0.0]}',
    "train.clip_norm=1.0",
    "train.accumulate=2",
    "train.ema=0.9",
    'model.regularizers=[{name="kl",weight=0.5},{name="mmd",weight=20.0},'
    '{name="factor_tc",weight=2.0,width=16,depth=2,optimizer={name="sgd",lr=0.2,betas=[0.0,0.0]}}]',
)


@pytest.mark.parametrize("sets", [(), EVERYTHING], ids=["plain", "everything"])
def test_two_processes_equal_one(spec: Path, sets: tuple[str, ...]) -> None:
    runs = spec.parent / "runs"
    alone = train(spec, sets=sets, run=runs / "alone")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += ["-m", "aerepr", "train", str(spec), "--runs", str(runs)]
    command += [part for item in sets for part in ("--set", item)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in runs.iterdir()) == ["alone", "small"], "only the first process writes"
    for part in ("model", "objective"):
        one, two = weights(alone, part), weights(next(runs.glob("small/*")), part)
        assert one.keys() == two.keys()
        for key in one:
            torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=1e-4)
    for first, second in zip(metrics(alone), metrics(next(runs.glob("small/*"))), strict=True):
        assert second.pop("kind") == first.pop("kind")
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4)
