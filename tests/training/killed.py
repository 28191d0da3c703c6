"""Trains a spec as `aerepr train` does, and meets with something at a chosen event: a step, a flush, half of a write.

    python -m tests.training.killed SPEC RUN EVENT HOW [--resume]

EVENT is the number of an event, or what it is called; HOW is `kill` (as `kill -9` does), `interrupt` (Ctrl-C), `twice`
(Ctrl-C and again), `limit` (no file may grow beyond 4 KiB from then on, a stand-in for a full disk that needs no rights).
Prints the events, one a line.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialised
from torch import Tensor

from aerepr import atomic
from aerepr.cli.main import main
from aerepr.rundir import tensors
from aerepr.training import record
from aerepr.training.loop import Trainer

LIMIT = 4096


def meet(how: str) -> None:
    """What happens to this process."""
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    for number in {"kill": [signal.SIGKILL], "interrupt": [signal.SIGINT], "twice": 2 * [signal.SIGINT]}.get(how, []):
        os.kill(os.getpid(), number)


def hook(run: Path, event: str, how: str) -> None:
    """Name every event as it comes, files by their place in the run, and at the chosen one let it happen."""
    count = [0]

    def happen(what: str) -> None:
        # Less the random part of a name that is not final.
        what = re.sub(r"\.[0-9a-f]{8}\.part\.", "", what).replace(f"{run}/", "").replace(str(run), ".")
        count[0] += 1
        print(what, file=sys.__stdout__, flush=True)
        if event in (what, str(count[0])):
            meet(how)

    setup, one, flush, save, append = Trainer.setup, Trainer._one, atomic._flush, tensors.save_file, record.append

    def prepared(self: Trainer) -> None:
        happen("setup")
        setup(self)

    def step(self: Trainer, phase: Any) -> None:
        happen(f"step {self.step}")
        one(self, phase)

    def flushed(path: Path) -> None:
        happen(f"flush {path}")
        flush(path)

    def saved(own: dict[str, Tensor], path: Path) -> None:
        content = serialised(own)
        path.write_bytes(content[: min(len(content), LIMIT) // 2])
        happen(f"write {path}")
        save(own, path)

    def appended(path: Path, found: dict[str, Any]) -> None:
        line = record._line(found)
        with path.open("a", encoding="utf-8") as file:
            file.write(line[: len(line) // 2])
            file.flush()
            happen(f"append {found['kind']} {found['step']}")
            size = path.stat().st_size - len(line) // 2
        os.truncate(path, size)
        append(path, found)

    Trainer.setup, Trainer._one, atomic._flush = prepared, step, flushed  # type: ignore[method-assign]
    tensors.save_file, record.append = saved, appended  # type: ignore[assignment]


if __name__ == "__main__":
    torch.set_num_threads(1)
    # A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spec, run, event, how, *more = sys.argv[1:]
    hook(Path(run), event, how)
    sys.argv = ["aerepr", "train", *(["--resume", run] if more else [spec, "--run", run])]
    main()
