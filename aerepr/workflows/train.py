"""`aerepr train`: a spec becomes a run directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from aerepr import atomic
from aerepr.data.source import DataSource
from aerepr.errors import AereprError, DataError, Interrupted, Problem, SpecError, UsageError
from aerepr.evaluation import evaluate
from aerepr.evaluation.asked import label
from aerepr.kinds.logger import Logger
from aerepr.kinds.sampler import Sampler
from aerepr.model.build import build_sampler, build_system
from aerepr.model.opened import info_card
from aerepr.model.system import System
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.rundir import bundle, checkpoint, layout, manifest
from aerepr.rundir.bundle import Bundle
from aerepr.rundir.checkpoint import Checkpoint
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.base import anchored
from aerepr.spec.read import apply_sets, read_spec
from aerepr.spec.run import RunSpec
from aerepr.training import precision, record
from aerepr.training.distributed import World
from aerepr.training.loop import Trainer, Watcher
from aerepr.workflows import branch as branching
from aerepr.workflows.assemble import check_spec, open_source, require, rest_state
from aerepr.workflows.branch import Branch
from aerepr.workflows.runs import flat

# What may change when a run is continued.
CHANGEABLE = ("train.steps", "train.log_every", "train.validate_every", "train.checkpoint_every")

# Codes of the training data that a bundle keeps, so that any sampler can be fitted later.
CODES = 10_000


class Onlooker(Watcher, Protocol):
    """A watcher who is also told of work before the first step that takes long, such as decoding a data set."""

    def work(self, what: str, done: int, total: int) -> None:
        """An `aerepr.kinds.dataset.Progress`."""


class Quiet:
    """An onlooker that says nothing."""

    def record(self, record: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int, examples_per_second: float) -> None: ...

    def message(self, text: str) -> None: ...

    def work(self, what: str, done: int, total: int) -> None: ...


def train(
    spec: str | Path | RunSpec | None = None,
    *,
    sets: Sequence[str] = (),
    runs: str | Path = "runs",
    run: str | Path | None = None,
    resume: bool = False,
    branch: str | Path | Branch | None = None,
    overwrite: bool = False,
    folder: str | Path | None = None,
    watcher: Onlooker | None = None,
    began: Callable[[Path], object] | None = None,
) -> Path:
    """Train a spec.

    Args:
        spec: a TOML file or a spec. Left out with `resume`: the run alone says what it is.
        sets: overrides, each "dotted.path=value".
        runs: folder of all runs; this one goes to `runs/<name>/<stamp>-<hash>`.
        run: a folder for this run instead; with `resume`, the run to continue, whose spec a given one must be.
        resume: continue the newest unfinished run of the spec, or `run`.
        branch: start a new run from the newest checkpoint of this run that the spec's own run would have had: what comes
            out is bit for bit the same, as far as both ran on the same device and versions. Or what was found in it before.
        overwrite: replace what `run` holds.
        folder: where the data paths of a `RunSpec` start, and whose `registry.toml` counts; left out: the current folder,
            and none. With `resume`: where the data is, if it moved.
        began: told the run directory as soon as there is one, whatever becomes of the run.

    Returns:
        The run directory.

    Raises:
        SpecError: anything in the spec is wrong, or it shares no checkpoint of `branch`. DataError: its data is.
        RunDirectoryError: a run is in the way, or there is none to resume or branch from. TrainingError: a loss was not
        finite. Interrupted: a signal came; the run is saved.
    """
    watcher = watcher or Quiet()
    if resume and branch is not None:
        raise UsageError("--branch starts a new run; one that is there is continued with --resume alone")
    if resume:
        chosen, directory, registry, home = _to_resume(spec, sets, Path(runs), run, folder)
        return _run(chosen, directory, registry, home, watcher, None, None, began)
    if spec is None:
        raise UsageError("train needs a spec file: aerepr train spec.toml (or --resume and a run)")
    if folder is not None and not isinstance(spec, RunSpec):
        raise UsageError(
            "--folder says where the data of a resumed run is: a spec file's data paths start where it lies"
        )
    if isinstance(spec, RunSpec):
        home, text = Path(folder or Path.cwd()), None
        registry = Registry.beside(home) if folder else Registry()
        chosen = apply_sets(spec, sets, registry) if sets else spec
    else:
        path = Path(spec)
        registry, home = Registry.beside(path.parent), path.parent
        chosen = read_spec(path, sets, registry)
        # With overrides the file is not what was asked; the resolved spec is written in its place.
        text = path.read_text(encoding="utf-8") if not sets else None
    return _run(
        chosen,
        None,
        registry,
        home,
        watcher,
        branching.find(Path(runs), str(branch), chosen) if isinstance(branch, str | Path) else branch,
        lambda: (Path(runs), Path(run) if run else None, overwrite, text),
        began,
    )


def _to_resume(
    spec: str | Path | RunSpec | None,
    sets: Sequence[str],
    runs: Path,
    run: str | Path | None,
    folder: str | Path | None,
) -> tuple[RunSpec, RunDirectory, Registry, Path]:
    if spec is not None and run is None and not isinstance(spec, RunSpec) and Path(spec).is_dir():
        spec, run = None, spec  # `train --resume RUN`
    if spec is not None and run is None:
        registry = Registry() if isinstance(spec, RunSpec) else Registry.beside(Path(spec).parent)
        asked = spec if isinstance(spec, RunSpec) else read_spec(Path(spec), sets, registry)
        directory = layout.unfinished(runs, asked)
        if directory is None:
            raise UsageError(
                f"{runs}: no unfinished run of this spec: start it without --resume, or name a run to continue"
            )
        return asked, directory, registry, _home(spec, directory, folder)
    directory = layout.find(runs, str(run) if run is not None else None)
    home = _home(spec, directory, folder)
    registry = Registry.beside(home)
    before = manifest.read_spec(directory, registry)
    _require_changeable("--set", [item.partition("=")[0].strip() for item in sets])
    after = before
    if spec is not None:
        # Both are given, so the spec must be the run's own, but for what may change.
        after = spec if isinstance(spec, RunSpec) else read_spec(Path(spec), (), registry)
        then, now = flat(before.tables()), flat(after.tables())
        _require_changeable(str(spec), sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key)))
    after = apply_sets(after, sets, registry)
    if after.train.total_steps < before.train.total_steps:
        raise SpecError(
            "--set", [Problem("train.steps", f"can only grow when a run is resumed, from {before.train.total_steps}")]
        )
    return after, directory, registry, home


def _home(spec: str | Path | RunSpec | None, directory: RunDirectory, folder: str | Path | None) -> Path:
    """Where the data paths of a run to resume start: what is asked for, the folder of a spec file, where they did before."""
    if folder is None and isinstance(spec, str | Path):
        return Path(spec).parent
    return Path(folder if folder is not None else manifest.read_env(directory)["folder"])


def _require_changeable(where: str, keys: Sequence[str]) -> None:
    problems = [key for key in keys if key not in CHANGEABLE and not key.startswith("evaluation.")]
    if problems:
        allowed = ", ".join([*CHANGEABLE, "evaluation.*"])
        text = f"cannot change when a run is resumed; these can: {allowed}"
        raise SpecError(
            where if where == "--set" else f"{where} is not the spec of the run",
            [Problem(key, text) for key in problems],
        )


def _run(
    spec: RunSpec,
    directory: RunDirectory | None,
    registry: Registry,
    folder: Path,
    watcher: Onlooker,
    branch: Branch | None,
    place: Callable[[], tuple[Path, Path | None, bool, str | None]] | None,
    began: Callable[[Path], object] | None,
) -> Path:
    device = precision.choose_device(spec.train.device)
    try:
        source = open_source(spec.data, folder, registry, device, watcher.work)
    except DataError as cause:
        if directory is None:
            raise
        where = f"the run's data is looked for from {folder}: pass --folder DIR (in Python: folder=DIR) if it moved"
        raise DataError(f"{cause}\n{where}") from cause
    report = require(check_spec(spec, source, registry, spec.name), spec.name)
    for note in report.notes:
        watcher.message(note)
    numerics = precision.resolve(spec.train, source.info.shape.is_image, device)
    world = World.join(device)
    resumed = directory is not None
    if directory is None:
        assert place is not None
        runs, path, overwrite, text = place()
        # Only the first process writes, so only it needs a place to write to.
        directory = layout.create(runs, spec, path, overwrite) if world.is_first else RunDirectory(path or runs)
        if world.is_first:
            env = manifest.environment(spec, folder, registry, numerics.record())
            if branch is not None:
                env["branched_from"] = branch.record()
            manifest.write(directory, spec, text, env)
            if branch is not None:
                # A run killed before this is resumed from step 0, with the same end.
                branch.copy_into(directory)
    elif world.is_first:
        atomic.remove_leftovers(directory.path / "*")
        atomic.remove_leftovers(directory.checkpoints / "*")
        manifest.rewrite_spec(directory, spec)
    if began is not None:
        began(directory.path)
    recorder = Recorder(directory, watcher, world)
    try:
        recorder.mark("running")
        found: Checkpoint | None
        if branch is not None:
            found, passed_over = branch.checkpoint, branch.passed_over
            recorder.message(f"branched from {branch.run.path} at step {branch.checkpoint.step}")
        else:
            found, passed_over = checkpoint.load_last(directory) if resumed else (None, [])
            if found is not None and world.is_first:
                checkpoint.point(directory, found)
        for reason in passed_over:
            recorder.message(f"{reason}; an earlier checkpoint is used")
        return _train(spec, directory, registry, folder, source, numerics, world, recorder, found)
    except Interrupted as cause:
        recorder.mark("interrupted", str(cause))
        raise
    except KeyboardInterrupt:
        last = checkpoint.pointed(directory, "last")
        saved = f"the checkpoint {last} stands" if last else "there is no checkpoint yet"
        recorder.mark("interrupted", f"stopped at once; {saved}; continue with: aerepr train --resume {directory.path}")
        raise
    except Exception as cause:
        # On a full disk not even the marker may fit, and what happened first is what a user needs to know.
        with contextlib.suppress(AereprError, OSError):
            recorder.mark("failed", f"{type(cause).__name__}: {cause}")
        raise
    finally:
        recorder.close()
        world.leave()


def _train(
    spec: RunSpec,
    directory: RunDirectory,
    registry: Registry,
    folder: Path,
    source: DataSource,
    numerics: precision.Numerics,
    world: World,
    recorder: Recorder,
    found: Checkpoint | None,
) -> Path:
    system = build_system(spec, source.info, registry)
    precision.prepare(system, numerics)
    sampler = build_sampler(spec, system, source.info, registry)
    asked = spec.evaluation
    metrics = {label(item): anchored(item, folder) for item in asked.metrics} if asked.every else {}
    # Metrics of codes ask for nothing that is fitted to training examples.
    fitted = any(registry.load("metric", item.name).needs != "codes" for item in metrics.values())

    def measure(step: int) -> dict[str, float]:
        view = _view(spec, system, sampler, source, fitted)
        chosen = evaluate.Selection(count=asked.rows or evaluate.ROWS)
        found = evaluate.measure(view, source, chosen, metrics, registry, told=recorder.message)
        for name, cause in found.refused.items():
            # Such as codes that have collapsed so early: no reason to stop.
            recorder.message(f"step {step}: {name} is not computed: {cause}")
        return found.numbers

    if numerics.warning is not None:
        recorder.message(numerics.warning)
    trainer = Trainer(spec, system, source, directory, numerics, world, recorder, measure if metrics else None)
    if found is not None:
        trainer.restore(found)
    else:
        trainer.setup()
    recorder.begin(spec, registry, trainer.step, source.info.train_size)
    trainer.train()
    if world.is_first:
        trainer.with_average(lambda: _bundle(spec, system, sampler, source, directory, trainer.step))
        recorder.mark("done")
        recorder.message(f"done: {directory.path}")
    return directory.path


def _view(spec: RunSpec, system: System, sampler: Sampler, source: DataSource, fitted: bool = True) -> View:
    """The run as it stands, with its sampler fitted to codes of now, or without codes and gallery."""
    rows = np.sort(source.choice("train", CODES))
    model = system.model
    seen = View(spec, system, sampler, source.info, torch.empty(0), torch.empty(0))
    seen.set_source(lambda split: (seen.seen(batch) for batch in source.batches(source.rows(split))))
    if not fitted:
        return seen
    with torch.no_grad():
        codes = torch.cat([model.represent(seen.seen(batch)) for batch in source.batches(rows)])
        sampler.fit(codes.cpu(), system.layout, model.prior)
        test = source.choice("test", spec.data.gallery)
        seen.gallery = source.examples(test).cpu() if len(test) else torch.empty(0, *source.info.shape.sizes)
    seen.codes = codes.cpu()
    return seen


def _bundle(
    spec: RunSpec, system: System, sampler: Sampler, source: DataSource, directory: RunDirectory, step: int
) -> None:
    view = _view(spec, system, sampler, source)
    gallery = {"x": view.gallery}
    if source.dataset.factors is not None:
        rows = source.choice("test", spec.data.gallery)
        gallery["factors"] = torch.from_numpy(source.dataset.factors.classes[rows].astype(np.int64))
    layout_card = [[variable.name, variable.size] for variable in view.layout]
    card = {"step": step, "data": info_card(source.info), "layout": layout_card, "spec_hash": spec.hash()}
    bundle.save(
        directory,
        Bundle(
            model=dict(system.model.state_dict()),
            objective=rest_state(system),
            sampler=dict(sampler.state_dict()),
            codes={"codes": view.codes},
            gallery=gallery,
            spec=spec.tables(),
            card=card,
        ),
    )


class Recorder:
    """A watcher that keeps the files of a run and passes everything on; of several processes only the first does."""

    def __init__(self, directory: RunDirectory, watcher: Watcher, world: World) -> None:
        self.directory = directory
        self.watcher = watcher
        self.active = world.is_first
        self.loggers: list[Logger] = []

    def begin(self, spec: RunSpec, registry: Registry, step: int, rows: int) -> None:
        """Called before the first step: drop records that will be written again, open the loggers."""
        if not self.active:
            return
        record.truncate(self.directory.metrics, step)
        self.loggers = [registry.load("logger", item.name)(item, self.directory.path, step) for item in spec.loggers]
        self.message(
            f"{spec.name}: step {step} of {spec.train.total_steps}, {rows} training rows, {self.directory.path}"
        )

    def record(self, record_: dict[str, Any]) -> None:
        with atomic.told(self.directory.metrics):
            record.append(self.directory.metrics, record_)
        numbers = {f"{record_['kind']}/{key}": value for key, value in record_.items() if key not in ("step", "kind")}
        for logger in self.loggers:
            logger.record(record_["step"], numbers)
        self.watcher.record(record_)

    def progress(self, step: int, total: int, examples_per_second: float) -> None:
        if self.active:
            self.watcher.progress(step, total, examples_per_second)

    def mark(self, state: layout.State, text: str = "") -> None:
        """Set the run's marker."""
        if self.active:
            self.directory.mark(state, text)

    def message(self, text: str) -> None:
        if not self.active:
            return
        with atomic.told(self.directory.log), self.directory.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        self.watcher.message(text)

    def close(self) -> None:
        for logger in self.loggers:
            logger.close()


def summary(directory: Path) -> dict[str, Any]:
    """The last line `aerepr train --json` prints."""
    run = RunDirectory(directory)
    last = checkpoint.pointed(run, "last")
    return {"run": str(directory), "step": int(last.removeprefix("step-")) if last else 0, "state": run.state}
