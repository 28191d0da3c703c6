"""Two processes train as one: the same noise, the same batch, the same weights up to the order of sums."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from aerepr.rundir import checkpoint
from aerepr.rundir.layout import RunDirectory
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


def test_a_signal_to_one_process_stops_both_and_is_saved(spec: Path) -> None:
    runs = spec.parent / "runs"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "aerepr", "train", str(spec), "--runs", str(runs), "--set", "train.steps=1000000"]
    both = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | group | {"RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        limit = time.monotonic() + 120
        while not list(runs.glob("small/*/checkpoints/last")):
            assert time.monotonic() < limit
            assert all(one.poll() is None for one in both), both[0].communicate()[1]
            time.sleep(0.1)
        both[1].send_signal(signal.SIGTERM)
        codes = [one.wait(60) for one in both]
    finally:
        for one in both:
            one.kill()
            one.communicate()
    assert codes == [143, 143]
    (path,) = runs.glob("small/*")
    run = RunDirectory(path)
    assert run.state == "interrupted"
    found, passed_over = checkpoint.load_last(run)
    assert found is not None
    assert not passed_over
