"""The console script: what happens around a command, whatever it is.

Exit codes: 0 done, 1 failed, 2 usage or spec, 130 and 143 interrupted. An error that is the user's to fix is one message
on stderr; a traceback is a bug of ours and says so.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from types import FrameType
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM outside the training loop, handled on the way out as Ctrl-C is."""


def main() -> NoReturn:
    """Run the command in `sys.argv` and exit with its code."""
    before = signal.signal(signal.SIGTERM, _terminate)
    warnings.showwarning = _warn
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has what they wanted. The interpreter must not try to flush the rest on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code)


def _run() -> int:
    try:
        # Imported here, so that Ctrl-C during start-up ends in one line too.
        from aerepr.cli.app import app

        app(prog_name="aerepr")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    except KeyboardInterrupt as cause:
        return interrupted(cause)
    except BrokenPipeError:
        raise
    except OSError as cause:
        # Files that cannot be opened, folders that cannot be written, full disks: the machine's, not ours.
        print(f"error: {cause}", file=sys.stderr)
        return 1
    except MemoryError:
        return _out_of_memory()
    except Exception as cause:  # noqa: BLE001 - the last place an exception can be met
        if type(cause).__name__ == "OutOfMemoryError":  # torch's own, and torch may not be imported here
            return _out_of_memory()
        traceback.print_exc()
        print("this is a bug in aerepr: please report it with the lines above and the command", file=sys.stderr)
        return 1
    return 0


def interrupted(cause: KeyboardInterrupt) -> int:
    """Say in one line that work was stopped; the exit code of the signal."""
    number = signal.SIGTERM if isinstance(cause, Terminated) else signal.SIGINT
    print(f"interrupted by {number.name}", file=sys.stderr)
    return 128 + number


_show = warnings.showwarning


def _warn(message: Warning | str, category: type[Warning], *place: Any, **where: Any) -> None:
    """Our own warnings in one line, without the place in our code."""
    from aerepr.errors import AereprWarning

    if issubclass(category, AereprWarning):
        print(f"warning: {message}", file=sys.stderr)
    else:
        _show(message, category, *place, **where)


def _out_of_memory() -> int:
    print("error: out of memory: lower train.batch_size, or widths; `aerepr check` estimates the need", file=sys.stderr)
    return 1


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
