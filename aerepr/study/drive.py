"""The driver: processes, one for each run, as many at a time as there are slots.

A run that begins as another one of the study waits for that one, and branches from it instead of training the same again.

A process reads its job from stdin and tells what happens in JSON lines on stdout. Its stdin stays open as long as the
driver lives, so that it notices a driver that was killed; and it inherits the study's lock, so that the next driver waits
until it has ended. The driver alone writes the files of the study; a process writes its run directory and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from aerepr import atomic
from aerepr.errors import AereprError
from aerepr.study.folder import StudyFolder
from aerepr.study.plan import PlannedRun

# What is kept of what the process of a failed run said, in bytes.
_TAIL = 20_000


class Onlooker(Protocol):
    """Who is told how a study goes on."""

    def begin(self, name: str, total: int, done: int, failed: int) -> None:
        """Before the first run: runs in all, and those that need no work."""

    def start(self, run: str) -> None:
        """A run has begun; `run` is its levels in a line."""

    def progress(self, run: str, what: str, done: int, total: int) -> None:
        """Steps of "train" or, of other work, as much of it as is done."""

    def message(self, text: str) -> None:
        """Something a user should know."""

    def end(self, run: str, state: str, error: str) -> None:
        """A run is done, failed or interrupted."""


class Quiet:
    """An onlooker that says nothing."""

    def begin(self, name: str, total: int, done: int, failed: int) -> None: ...

    def start(self, run: str) -> None: ...

    def progress(self, run: str, what: str, done: int, total: int) -> None: ...

    def message(self, text: str) -> None: ...

    def end(self, run: str, state: str, error: str) -> None: ...


@dataclass(frozen=True)
class Job:
    """What a process is to do.

    Attributes:
        order: as it reads it. on_gpu: whether it takes the GPU it is given.
        beginning: hash of the run of this study that is the first part of this one, from which it branches.
    """

    planned: PlannedRun
    order: dict[str, Any]
    on_gpu: bool
    beginning: str | None = None


@dataclass
class _Worker:
    job: Job
    slot: int
    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    pending: bytes = b""
    stage: str = "train"
    run: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.job.planned.label


class Driver:
    """Works off jobs.

    Args:
        lock: file descriptor of the study's lock.
        command: starts a process that reads a job. slots: the environment of each process that may run at a time, what it
            adds to this one's; with `CUDA_VISIBLE_DEVICES` for jobs on a GPU only.
        stopped: the number of the signal that asks for an end; None: go on.
    """

    def __init__(
        self,
        study: StudyFolder,
        lock: int,
        command: Sequence[str],
        slots: Sequence[Mapping[str, str]],
        onlooker: Onlooker,
        stopped: Callable[[], int | None],
    ) -> None:
        self.study = study
        self.lock = lock
        self.command = list(command)
        self.slots = slots
        self.onlooker = onlooker
        self.stopped = stopped
        self.failures = study.read_failures()
        self.workers: list[_Worker] = []
        self.full = False

    def work(self, jobs: Sequence[Job]) -> int | None:
        """Work off all jobs; gives the signal that put an early end to it.

        After a signal nothing new is begun, and what runs is told to save itself and end. A full disk keeps the rest from
        being begun.
        """
        waiting, signalled = list(jobs), None
        with selectors.DefaultSelector() as selector:
            try:
                while True:
                    if signalled is None and self.stopped() is not None:
                        signalled = self.stopped()
                        for worker in self.workers:
                            worker.process.send_signal(signal.SIGINT)
                    while len(self.workers) < len(self.slots) and signalled is None and not self.full:
                        job = self._next(waiting)
                        if job is None:
                            break
                        waiting.remove(job)
                        started = self._start(job)
                        if started is not None:
                            assert started.process.stdout is not None
                            selector.register(started.process.stdout, selectors.EVENT_READ, started)
                    if not self.workers:
                        break
                    # A signal does not end the wait by itself, so it is no long one.
                    for key, _ in selector.select(timeout=0.2):
                        if not self._hear(key.data, os.read(key.fd, 65_536)):
                            selector.unregister(key.fileobj)
                            self._finish(key.data, signalled is not None)
            finally:
                # A second signal: what was not saved by now is lost back to the last checkpoint.
                for worker in self.workers:
                    worker.process.kill()
                    worker.process.wait()
        if self.full and waiting:
            self.onlooker.message(
                f"the disk is full: {len(waiting)} runs are not begun; free some space and run the study again with "
                "--retry-failed"
            )
        return signalled

    def _next(self, waiting: Sequence[Job]) -> Job | None:
        """The first that need not wait for its beginning; one whose beginning has failed makes its own."""
        pending = {job.planned.hash for job in [*waiting, *(worker.job for worker in self.workers)]}
        return next((job for job in waiting if job.beginning not in pending), None)

    def _branch(self, job: Job) -> str | None:
        """The run that a job branches from, if that came to its end."""
        found = self.study.run(job.beginning) if job.beginning is not None else None
        return str(found.path) if found is not None and found.state == "done" else None

    def _start(self, job: Job) -> _Worker | None:
        slot = min(set(range(len(self.slots))) - {worker.slot for worker in self.workers})
        environment = dict(self.slots[slot])
        if not job.on_gpu:
            environment.pop("CUDA_VISIBLE_DEVICES", None)
        self.onlooker.start(job.planned.label)
        self._note_failure(job.planned.hash, None)
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | environment,
                pass_fds=(self.lock,),
                # Ctrl-C reaches the driver alone, which passes it on once.
                start_new_session=True,
            )
        except OSError as cause:
            stderr.close()
            self._fail(job, "train", "", f"no process could be started: {cause.strerror}")
            return None
        worker = _Worker(job, slot, process, stderr, run=os.path.basename(job.order["run"] or ""))
        self.workers.append(worker)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            order = {**job.order, "branch": self._branch(job), "lock": self.lock}
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        return worker

    def _hear(self, worker: _Worker, said: bytes) -> bool:
        """Pass on what a process says; False once it has said all."""
        *lines, worker.pending = (worker.pending + said).split(b"\n")
        for line in lines:
            event = json.loads(line)
            kind = event["event"]
            if kind == "progress":
                self.onlooker.progress(worker.label, event["what"], event["done"], event["total"])
            elif kind == "message":
                self.onlooker.message(f"{worker.label}: {event['text']}")
            elif kind == "began":
                worker.run = event["run"]
            elif kind == "stage":
                worker.stage = event["stage"]
            else:
                worker.outcome = event
        return bool(said)

    def _finish(self, worker: _Worker, stopping: bool) -> None:
        assert worker.process.stdin is not None
        assert worker.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
        worker.process.stdout.close()
        code = worker.process.wait()
        self.workers.remove(worker)
        said = _tail(worker.stderr)
        worker.stderr.close()
        event = worker.outcome.get("event")
        if event == "done":
            self.onlooker.end(worker.label, "done", "")
            with contextlib.suppress(OSError):
                self.study.log(worker.job.planned.hash).unlink(missing_ok=True)
        elif event == "interrupted" or (event is None and stopping):
            self.onlooker.end(worker.label, "interrupted", "")
        else:
            self.full = self.full or bool(worker.outcome.get("full"))
            error = worker.outcome.get("error") or _why(code, said)
            self._fail(worker.job, worker.stage, worker.run, error, said)

    def _fail(self, job: Job, stage: str, run: str, error: str, said: str = "") -> None:
        asked = job.order["evaluate"]
        self._note_failure(job.planned.hash, {"error": error, "stage": stage, "run": run, "asked": asked})
        if said:
            with contextlib.suppress(AereprError, OSError):
                atomic.write_text(self.study.log(job.planned.hash), said)
        self.onlooker.end(job.planned.label, "failed", error)

    def _note_failure(self, hash_: str, failure: dict[str, Any] | None) -> None:
        before = self.failures.pop(hash_, None)
        if failure is not None:
            self.failures[hash_] = failure
        if failure == before:
            return
        try:
            self.study.write_failures(self.failures)
        except (AereprError, OSError) as cause:
            # A run whose failure is not on file counts as interrupted the next time, and is continued.
            self.onlooker.message(f"{self.study.failures}: cannot be written: {cause}")


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    return file.read().decode(errors="replace")


def _why(code: int, said: str) -> str:
    """Why a process ended that could not tell itself."""
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", as the system does where memory runs out" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}{f': {last}' if last else ''}"
    return f"its process ended with exit code {code}{f': {last}' if last else ''}"
