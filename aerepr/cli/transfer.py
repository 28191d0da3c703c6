"""Progress of a download: a bar on a terminal, plain lines elsewhere; both on stderr.

Each class here is an `aerepr.data.download.Progress`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aerepr.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextlib.contextmanager
def watch() -> Iterator[Lines | Bar]:
    """What suits this process's stderr."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    with _bar() as progress:
        yield Bar(progress)


class Lines:
    """A line at the start of a file and at every tenth of it; every 100 MiB where its size is not known."""

    _UNKNOWN = 100 << 20

    def __init__(self) -> None:
        self.name, self.done, self.every, self.next = "", 0, self._UNKNOWN, 0
        self.total: int | None = None

    def start(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total = name, done, total
        self.every = self._UNKNOWN if total is None else max(total // 10, 1)
        self.next = (done // self.every + 1) * self.every
        self.message(f"{name}  {'resumed at' if done else 'from'} {self._text()}")

    def advance(self, count: int) -> None:
        self.done += count
        if self.done >= self.next:
            self.next = (self.done // self.every + 1) * self.every
            self.message(f"{self.name}  {self._text()}")

    def message(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def _text(self) -> str:
        return output.size(self.done) + ("" if self.total is None else f" of {output.size(self.total)}")


class Bar:
    """A bar a file, with the bytes, their speed and the time left; messages scroll above it."""

    def __init__(self, progress: Progress) -> None:
        self.bar = progress
        self.tasks: dict[str, TaskID] = {}
        self.name = ""

    def start(self, name: str, done: int, total: int | None) -> None:
        # A resumed file goes on in its own bar.
        self.name = name
        if name in self.tasks:
            self.bar.update(self.tasks[name], completed=done, total=total)
        else:
            self.tasks[name] = self.bar.add_task(name, completed=done, total=total)

    def advance(self, count: int) -> None:
        self.bar.advance(self.tasks[self.name], count)

    def message(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
