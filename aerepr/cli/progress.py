"""Progress of training and of other work: a bar on a terminal, plain lines elsewhere; both on stderr.

Each class here but `Work` is an `aerepr.workflows.train.Onlooker`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextlib.contextmanager
def watch(speaks: bool = True) -> Iterator[Silent | Lines | Bar]:
    """A watcher for this process's stderr; one that says nothing, if another process speaks."""
    if not speaks:
        yield Silent()
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield Bar(progress)
    else:
        yield Lines()


class Work:
    """Tells of work other than training: one line that counts up on a terminal, one for each tenth elsewhere."""

    def __init__(self) -> None:
        self.told = ("", -1)

    def __call__(self, what: str, done: int, total: int) -> None:
        percent = 100 * done // total
        if not sys.stderr.isatty():
            percent -= percent % 10
        if (what, percent) != self.told:
            self.told = (what, percent)
            start, end = ("\r", "" if done < total else "\n") if sys.stderr.isatty() else ("", "\n")
            print(f"{start}{what}: {percent}%", end=end, file=sys.stderr, flush=True)


class Silent:
    """Says nothing."""

    def record(self, record: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int, examples_per_second: float) -> None: ...

    def message(self, text: str) -> None: ...

    def work(self, what: str, done: int, total: int) -> None: ...


class Lines:
    """One line for each record of `metrics.jsonl`."""

    def __init__(self) -> None:
        self.total = 0
        self.work = Work()

    def progress(self, step: int, total: int, examples_per_second: float) -> None:
        self.total = total

    def record(self, record: dict[str, Any]) -> None:
        line = f"step {record['step']}/{self.total or '?'}  {summary(record)}"
        print(line, file=sys.stderr, flush=True)

    def message(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bar:
    """A bar with step and total, examples a second, time left and the latest loss; messages scroll above it."""

    def __init__(self, progress: Progress) -> None:
        self.bar = progress
        self.task: TaskID | None = None
        self.works: dict[str, TaskID] = {}

    def work(self, what: str, done: int, total: int) -> None:
        if what not in self.works:
            self.works[what] = self.bar.add_task(what, total=total, rate="", loss=what)
        self.bar.update(self.works[what], completed=done)

    def progress(self, step: int, total: int, examples_per_second: float) -> None:
        if self.task is None:
            # A resumed run begins where it stopped: the time left is estimated from the steps of now.
            self.task = self.bar.add_task("train", total=total, completed=step - 1, rate="", loss="")
        self.bar.update(self.task, completed=step, rate=f"{examples_per_second:,.0f}/s")

    def record(self, record: dict[str, Any]) -> None:
        if record["kind"] == "train" and self.task is not None:
            self.bar.update(self.task, loss=_loss(record))
        elif record["kind"] != "train":
            self.message(f"step {record['step']}  {summary(record)}")

    def message(self, text: str) -> None:
        # Not `print` of rich, which would fold long lines and read brackets as markup.
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


def summary(record: dict[str, Any]) -> str:
    """A record in one line: the losses and the speed of training, or whatever a validation or evaluation found."""
    kind = record["kind"]
    if kind != "train":
        numbers = "  ".join(f"{key} {value:.4g}" for key, value in record.items() if key not in ("step", "kind"))
        return f"{kind}  {numbers}"
    speed = record.get("perf/examples_per_second")
    return _loss(record) + (f"  {speed:,.0f} examples/s" if speed is not None else "")


def _loss(record: dict[str, Any]) -> str:
    total = record.get("loss/total")
    return f"loss {total:.4g}" if total is not None else ""


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=Console(stderr=True),
    )
