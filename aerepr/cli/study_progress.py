"""Progress of a study: one live view on a terminal, plain lines elsewhere; both on stderr.

Each class here is an `aerepr.study.drive.Onlooker`.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Seconds between two lines about the same run.
_EVERY = 30.0


@contextlib.contextmanager
def watch() -> Iterator[Lines | Live]:
    """An onlooker for this process's stderr."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        TimeRemainingColumn(),
    )
    # Runs take minutes: what is left is estimated from many of their steps.
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=600) as progress:
        yield Live(progress)


class Tally:
    """How far a study is.

    Attributes:
        ended: runs that need no more work, of `total`.
        parts: of each run that trained here, how much of it there was when it was first heard of, and is now.
    """

    def __init__(self) -> None:
        self.name = ""
        self.total = self.ended = 0
        self.began = time.monotonic()
        self.started: dict[str, float] = {}
        self.parts: dict[str, tuple[float, float]] = {}

    def begin(self, name: str, total: int, done: int, failed: int) -> str:
        self.name, self.total, self.ended = name, total, done + failed
        parts = [f"{total} runs", f"{done} done before", *([f"{failed} failed before"] if failed else [])]
        return f"{name}: {', '.join(parts)}"

    def start(self, run: str) -> None:
        self.started[run] = time.monotonic()

    def progress(self, run: str, what: str, done: int, total: int) -> None:
        if what == "train":
            self.parts[run] = (self.parts.get(run, (done / total,))[0], done / total)

    def end(self, run: str, state: str, error: str) -> str:
        """What to say of a run that has ended."""
        seconds = time.monotonic() - self.started.pop(run, time.monotonic())
        if state == "interrupted":
            return f"interrupted, saved: {run}"
        self.ended += 1
        if run in self.parts:
            self.parts[run] = (self.parts[run][0], 1.0)
        what = f"done in {_duration(seconds)}: {run}" if state == "done" else f"FAILED: {run}: {error}"
        return f"[{self.ended}/{self.total}] {what}"

    def left(self) -> str:
        """An estimate, from the training that was done here: of runs that were only evaluated, nothing is learned."""
        trained = sum(now - first for first, now in self.parts.values())
        to_do = self.total - self.ended - sum(now for run, (_, now) in self.parts.items() if run in self.started)
        if trained <= 0 or to_do <= 0:
            return ""
        return f"about {_duration((time.monotonic() - self.began) / trained * to_do)} left"


class Lines:
    """A line for each thing that happens, and now and then one for how far a run is."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.told: dict[str, float] = {}

    def begin(self, name: str, total: int, done: int, failed: int) -> None:
        self.message(self.tally.begin(name, total, done, failed))

    def start(self, run: str) -> None:
        self.tally.start(run)
        self.told[run] = time.monotonic()
        self.message(f"begun: {run}")

    def progress(self, run: str, what: str, done: int, total: int) -> None:
        self.tally.progress(run, what, done, total)
        if time.monotonic() - self.told.get(run, 0.0) > _EVERY:
            self.told[run] = time.monotonic()
            self.message(f"{run}: {what} {done}/{total}")

    def message(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self, run: str, state: str, error: str) -> None:
        left = (self.tally.end(run, state, error), self.tally.left())
        self.message("; ".join(part for part in left if part))


class Live:
    """A bar for the study and one for each run at work; what has ended scrolls above them."""

    def __init__(self, progress: Progress) -> None:
        self.bar = progress
        self.tally = Tally()
        self.tasks: dict[str, TaskID] = {}
        self.parts: dict[str, float] = {}

    def begin(self, name: str, total: int, done: int, failed: int) -> None:
        self.message(self.tally.begin(name, total, done, failed))
        self.study = self.bar.add_task(name, total=total, completed=done + failed, what="")
        self._advance()

    def start(self, run: str) -> None:
        self.tally.start(run)
        self.tasks[run] = self.bar.add_task(run, total=None, what="starting")

    def progress(self, run: str, what: str, done: int, total: int) -> None:
        if run in self.tasks:
            self.bar.update(self.tasks[run], completed=done, total=total, what=f"{what} {done}/{total}")
        if what == "train":
            self.parts[run] = done / total
            self._advance()

    def message(self, text: str) -> None:
        # Not `print` of rich, which would fold long lines and read brackets as markup.
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self, run: str, state: str, error: str) -> None:
        self.bar.remove_task(self.tasks.pop(run))
        self.parts.pop(run, None)
        self.message(self.tally.end(run, state, error))
        self._advance()

    def _advance(self) -> None:
        what = f"{self.tally.ended}/{self.tally.total} runs"
        self.bar.update(self.study, completed=self.tally.ended + sum(self.parts.values()), what=what)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
