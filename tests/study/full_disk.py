"""A run's process on a disk that is full from one moment on: `full_disk.py [WHAT]`.

WHAT is in the name of what can no longer be written; left out: checkpoints.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from aerepr import atomic
from aerepr.workflows.study_worker import main

WHAT = sys.argv[1] if len(sys.argv) > 1 else "step-"

flush = atomic._flush


def full(path: Path) -> None:
    if WHAT in path.name:
        raise OSError(errno.ENOSPC, "No space left on device")
    flush(path)


if __name__ == "__main__":
    atomic._flush = full
    main()
