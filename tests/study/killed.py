"""A driver that is killed at a moment of its own choosing: `python -m tests.study.killed STUDY.toml RUNS MOMENT`.

MOMENT is what the onlooker is told last, such as "train" (the first step) or "evaluate".
"""

from __future__ import annotations

import os
import signal
import sys

from aerepr.study.drive import Quiet
from aerepr.workflows.study import run


class Killer(Quiet):
    def __init__(self, moment: str) -> None:
        self.moment = moment

    def progress(self, run: str, what: str, done: int, total: int) -> None:
        if what == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run(sys.argv[1], runs=sys.argv[2], onlooker=Killer(sys.argv[3]))
