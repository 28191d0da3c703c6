"""Trains a spec and kills itself, as `kill -9` does, at a chosen event: a step, or a flush inside a checkpoint.

    python -m tests.training.killed SPEC RUN EVENT [--resume]

Prints the number of events when it is not killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from aerepr import atomic
from aerepr.training.loop import Trainer
from aerepr.workflows.train import train


def main(spec: str, run: str, event: int, resume: bool) -> None:
    torch.set_num_threads(1)
    events: list[str] = []

    def happen(what: str) -> None:
        events.append(what)
        if len(events) == event:
            print(what, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    one, flush = Trainer._one, atomic._flush

    def step(self: Trainer, phase: Any) -> None:
        happen(f"step {self.step}")
        one(self, phase)

    def flushed(path: Path) -> None:
        happen(f"flush {path.parent.name}/{path.name}")
        flush(path)

    Trainer._one, atomic._flush = step, flushed  # type: ignore[method-assign]
    train(None if resume else spec, run=run, resume=resume)
    print(len(events))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "--resume" in sys.argv)
