"""One run of a study, in a process of its own: `python -m aerepr.workflows.study_worker`, started by the driver.

Reads its job, a line of JSON, from stdin, and writes what happens to stdout, a line each. If stdin closes, the driver is
gone: the process saves itself as after Ctrl-C, and ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aerepr.errors import AereprError, Interrupted, RunDirectoryError, SpecError
from aerepr.evaluation.asked import placed
from aerepr.registry.registry import Registry
from aerepr.rundir import manifest
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import spec_from_json
from aerepr.spec.run import RunSpec
from aerepr.spec.write import to_toml
from aerepr.study.folder import GRACE_S, StudyFolder

if TYPE_CHECKING:
    # Imports torch, which takes seconds: the driver is listened to before.
    from aerepr.workflows.branch import Branch

# Seconds between two reports of progress.
_EVERY = 0.2


class Reporter:
    """An `aerepr.workflows.train.Onlooker` that tells the driver."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.told = 0.0

    def say(self, event: str, **more: Any) -> None:
        """One line. A driver that was killed hears nothing, which must not make the run fail."""
        with contextlib.suppress(OSError, ValueError):
            print(json.dumps({"event": event, **more}), file=self.out, flush=True)

    def work(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self.told > _EVERY:
            self.told = now
            self.say("progress", what=what, done=done, total=total)

    def progress(self, step: int, total: int, examples_per_second: float) -> None:
        self.work("train", step, total)

    def record(self, record: dict[str, Any]) -> None: ...

    def message(self, text: str) -> None: ...


def main() -> None:
    """Do the job on stdin."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A driver in the background of a shell has SIGINT ignored, which its children would inherit.
        signal.signal(number, signal.default_int_handler)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What libraries print is no message to the driver.
    os.dup2(2, 1)
    job = json.loads(_line())
    os.set_inheritable(job["lock"], False)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    report = Reporter(out)
    try:
        run = _train(job, report)
        report.say("stage", stage="evaluate")
        _evaluate(job, run, report)
    except (Interrupted, KeyboardInterrupt):
        report.say("interrupted")
        sys.exit(130)
    except Exception as cause:  # noqa: BLE001 - whatever it is, it is this run's alone
        traceback.print_exc()
        report.say("failed", error=_told(cause), full=_is_full(cause))
        sys.exit(1)
    report.say("done")


def _train(job: dict[str, Any], report: Reporter) -> RunDirectory:
    """The trained run: the one there is, continued if need be, or a new one."""
    folder, found = Path(job["folder"]), job["run"]
    if job["trained"]:
        report.say("began", run=Path(found).name)
        return RunDirectory(Path(found))
    from aerepr.workflows.train import train

    registry = Registry.beside(folder)
    spec = spec_from_json(json.dumps(job["spec"]), "study", registry)

    def began(path: Path) -> None:
        report.say("began", run=path.name)

    if found is not None and manifest.read_spec(RunDirectory(Path(found)), registry).hash() == spec.hash():
        return RunDirectory(train(run=found, resume=True, folder=folder, watcher=report, began=began))
    branch = _branch(job, spec, report)
    return RunDirectory(train(spec, runs=job["runs"], branch=branch, folder=folder, watcher=report, began=began))


def _branch(job: dict[str, Any], spec: RunSpec, report: Reporter) -> Branch | None:
    """The last step of the run that this one begins with; a run that is of no use for that is told, and done without."""
    from aerepr.workflows import branch

    if job["branch"] is None:
        return None
    try:
        return branch.find(Path(job["runs"]), job["branch"], spec)
    except (RunDirectoryError, SpecError) as cause:
        report.say("message", text=f"{_told(cause)}; trained from its start instead")
        return None


def _evaluate(job: dict[str, Any], run: RunDirectory, report: Reporter) -> None:
    """Every table that is asked for, each kept as soon as it is done; of one that is there, what was refused."""
    from aerepr.workflows.evaluate import evaluate

    study, folder = StudyFolder(run.path.parent), Path(job["folder"])
    registry = Registry.beside(folder)
    for id_, asked in job["evaluate"].items():
        names, settings = asked.get("metrics"), placed(asked["settings"], folder, registry)
        before: dict[str, Any] = {"metrics": {}, "protocols": {}}
        if id_ in job["refused"]:
            names, before = job["refused"][id_], study.evaluation(run)[id_]
            components = {name.partition("@")[0] for name in names}
            settings = {metric: fields for metric, fields in settings.items() if metric in components}
        answer = evaluate(
            run.path,
            names=names,
            split=asked["split"],
            subset=asked["subset"],
            rows=None if asked["rows"] == "full" else asked["rows"],
            seed=asked.get("seed"),
            sets=[f"{name}.{key}={_toml(value)}" for name, keys in settings.items() for key, value in keys.items()],
            folder=folder,
            may_be_empty=True,
            progress=report.work,
        )
        kept = {
            "asked": asked,
            "spec_hash": answer["spec_hash"],
            "metrics": {**before["metrics"], **answer["metrics"]},
            "protocols": {**before["protocols"], **answer["protocol"]},
            "refused": answer["refused"],
        }
        study.write_evaluation(run, {**study.evaluation(run), id_: kept})


def _toml(value: Any) -> str:
    # In a list, a table is written in one line.
    return to_toml({"value": [[value]]}).removeprefix("value = [[").removesuffix("]]\n")


def _line() -> str:
    """The first line of stdin. Not through `sys.stdin`, whose lock the waiting thread would hold as Python ends."""
    found = b""
    while not found.endswith(b"\n"):
        part = os.read(0, 65_536)
        if not part:
            sys.exit(1)
        found += part
    return found.decode()


def _end_with_driver() -> None:
    """Wait until stdin closes, then end as after Ctrl-C; a process that cannot, because it hangs, ends all the same."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


def _told(cause: BaseException) -> str:
    """An error in one line; one that is not the user's to fix with its type."""
    text = "; ".join(line.strip() for line in str(cause).splitlines() if line.strip())
    return text if isinstance(cause, AereprError) else f"{type(cause).__name__}: {text}"


def _is_full(cause: BaseException | None) -> bool:
    """Whether a full disk is behind an error."""
    while cause is not None:
        # Safetensors writes without Python's help, and says so in words alone.
        if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


if __name__ == "__main__":
    main()
