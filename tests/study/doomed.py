"""A study that is killed: `python tests/study/doomed.py STUDY RUNS DRIVER WORKER`.

DRIVER and WORKER are the seconds after which the driver, and each process it starts, kills itself; 0: it does not. They count
from the start of a process, before it has imported anything.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def doom(seconds: str) -> None:
    """Kill this process when the time has come."""
    if float(seconds):
        timer = threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        doom(sys.argv[2])
        from aerepr.workflows.study_worker import main

        main()
    else:
        study, runs, driver, worker = sys.argv[1:]
        doom(driver)
        from aerepr.workflows.study import run

        run(study, runs=runs, jobs=2, retry_failed=True, worker=[sys.executable, __file__, "worker", worker])
