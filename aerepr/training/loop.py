"""The training loop: steps through the phases, logs, validates, checkpoints, and stops cleanly.

A step's place in the data, its noise and its schedules are functions of the step number, so a run continues from a
checkpoint as if it had never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from aerepr.data.source import DataSource
from aerepr.errors import CheckpointError, DataError, Interrupted, Problem, SpecError, TrainingError
from aerepr.kinds.batch import Batch
from aerepr.kinds.part import Part
from aerepr.model.system import System
from aerepr.rundir import checkpoint, tensors
from aerepr.rundir.checkpoint import Checkpoint
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.run import RunSpec
from aerepr.spec.training import PhaseSpec
from aerepr.training.batches import Order
from aerepr.training.distributed import World
from aerepr.training.precision import Numerics
from aerepr.training.schedules import Schedules
from aerepr.training.signals import Signals
from aerepr.training.update import Update

# Validation looks at this many rows at the most, a seeded choice that is the same at every step.
VALIDATION_ROWS = 5000

# Training examples by whose means a checkpoint knows its data again.
FINGERPRINTED = 16


class Watcher(Protocol):
    """Who is told what happens: files, loggers, the terminal."""

    def record(self, record: dict[str, Any]) -> None:
        """One record of `metrics.jsonl`."""

    def progress(self, step: int, total: int, examples_per_second: float) -> None:
        """After every step."""

    def message(self, text: str) -> None:
        """Something a user should know."""


@dataclass
class Phase:
    """Steps `start` to `stop` (not included): who learns, from which rows, in which order."""

    start: int
    stop: int
    learn: list[str] | None
    rows: np.ndarray
    orders: list[Order] = field(default_factory=list)


class Trainer:
    """One run, in memory.

    Args:
        spec, system, source: what is trained, on what.
        run: where checkpoints go. watcher: who is told.
        evaluate: computes `[evaluation] metrics` at a step; None where none are asked for.

    Raises:
        SpecError: a schedule or a phase that cannot be.
    """

    def __init__(
        self,
        spec: RunSpec,
        system: System,
        source: DataSource,
        run: RunDirectory,
        numerics: Numerics,
        world: World,
        watcher: Watcher,
        evaluate: Callable[[int], dict[str, float]] | None = None,
    ) -> None:
        self.spec = spec
        self.system = system
        self.source = source
        self.run_directory = run
        self.world = world
        self.watcher = watcher
        self.evaluate = evaluate
        self.device = torch.device(numerics.device)
        self.numerics = numerics
        self.update = Update(spec, system, source, numerics, world)
        lrs = {key: optimizer.lr for key, (_, optimizer) in self.update.adversaries.items()}
        self.schedules = Schedules(spec, system, self.update.main.lr, lrs)
        self.phases = self._phases()
        self.total = spec.train.total_steps
        self.step = 0
        self.best: float | None = None

    def setup(self) -> None:
        """Let every module see the training data, once, before step 0."""
        view = _TrainingView(self)
        if self.system.model.standardized:
            x = torch.cat([batch.x for batch in view.raw_batches(4096)])
            self.system.model.offset.copy_(x.mean(dim=0))
            # A constant feature is left as it is rather than divided by zero.
            deviation = x.std(dim=0)
            self.system.model.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))
        with torch.no_grad():
            # A nested component is set up before the one that holds it.
            for module in reversed(list(self.system.modules())):
                if isinstance(module, Part):
                    module.setup(view)

    def restore(self, found: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises:
            CheckpointError: it belongs to another model or other data.
        """
        then, now = found.state["rows"], self.fingerprint
        # Examples that are computed on another device may round otherwise.
        alike = len(then) == len(now) and np.allclose(then[2:], now[2:], rtol=1e-3, atol=2e-3)
        if then[:2] != now[:2] or not alike:
            what = f"{then[0]:,} then, {now[0]:,} now" if then[0] != now[0] else "as many, of other numbers or values"
            raise CheckpointError(
                f"{self.run_directory.path}: the training rows are not those of the checkpoint ({what}): restore the data the "
                "run began with"
            )
        tensors.restore(self.system, found.model, "checkpoint")
        self.update.restore(found.train, found.state["names"], found.state["count"])
        self.step, self.best = found.step, found.state["best"]

    def train(self) -> None:
        """Run to the last step.

        Raises:
            Interrupted: a signal came; a checkpoint of the step it came at is written.
            TrainingError: a value was not finite.
        """
        with Signals() as signals, torch.random.fork_rng(), self.numerics.kernels():
            self.system.train()
            began, seen = time.perf_counter(), self.step
            for phase in self.phases:
                while phase.start <= self.step < phase.stop:
                    self._one(phase)
                    rate = (self.step - seen) * self._examples_per_step() / max(1e-9, time.perf_counter() - began)
                    self.watcher.progress(self.step, self.total, rate)
                    if self._due(self.spec.train.log_every):
                        self._log({"perf/examples_per_second": rate})
                    improved = self._due(self.spec.train.validate_every) and self._validate()
                    if self.evaluate and self.spec.evaluation.every and self.step % self.spec.evaluation.every == 0:
                        self._tell("evaluation", self.with_average(lambda: self.evaluate(self.step)))  # type: ignore[misc]
                    stopping = self.world.any(signals.caught is not None) and self.step < self.total
                    if stopping or improved or self._due(self.spec.train.checkpoint_every):
                        self.save(improved)
                    if self._due(self.spec.train.log_every):
                        # Validation and checkpoints are not counted in the rate.
                        began, seen = time.perf_counter(), self.step
                    if stopping:
                        raise Interrupted(
                            signals.caught or 15,
                            f"{self.run_directory.path}: interrupted at step {self.step} of {self.total}, saved; "
                            f"continue with: aerepr train --resume {self.run_directory.path}",
                        )

    def with_average(self, work: Callable[[], Any]) -> Any:
        """Do something with the averaged weights in place (the weights themselves, if none are averaged)."""
        self.update.swap_average()
        self.system.eval()
        try:
            return work()
        finally:
            self.update.swap_average()
            self.system.train()

    def save(self, best: bool = False) -> None:
        """Write a checkpoint of this step.

        Raises:
            TrainingError: a value was not finite; nothing is written.
        """
        self._refuse_bad()
        if self.world.is_first:
            state = {
                "names": self.update.names,
                "count": self.update.count,
                "best": self.best,
                "rows": self.fingerprint,
                "spec_hash": self.spec.hash(),
            }
            found = Checkpoint(self.step, self.system.state_dict(), self.update.state(), state)
            checkpoint.save(self.run_directory, found, best)

    def batches(self, split: str, size: int = 256) -> Iterator[Batch]:
        """All rows of a split, as the model sees them."""
        for batch in self.source.batches(self.source.rows(split), size):  # type: ignore[arg-type]
            yield self._seen(batch)

    def _one(self, phase: Phase) -> None:
        self.schedules.apply(self.step)
        every = self.spec.train.accumulate
        first = (self.step - phase.start) * every
        micro = [[order.batch(first + i) for order in phase.orders] for i in range(every)]
        self.update.run(self.step, micro, phase.learn, len(phase.rows))
        self.step += 1

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.total

    def _log(self, perf: dict[str, float]) -> None:
        self._refuse_bad()
        values = self.update.means()
        # The values in force for the last update of the interval.
        values |= {"lr": float(self.update.main.lr)} | self.schedules.values(self.step - 1) | perf
        self._tell("train", values)

    def _validate(self) -> bool:
        """Log the validation losses; whether they are the best so far."""
        rows = self._validation_rows()
        if len(rows) == 0:
            return False
        values = self.with_average(lambda: self._validation_losses(rows, "represent"))
        sampled = self.with_average(lambda: self._validation_losses(rows, "sample"))
        self._tell("valid", values | {"loss/total_sampled": sampled["loss/total"]})
        improved = self.best is None or values["loss/total"] < self.best
        if improved:
            self.best = values["loss/total"]
        return improved

    def _validation_losses(self, rows: np.ndarray, mode: str) -> dict[str, float]:
        sums: dict[str, Tensor] = {}
        # The same noise at every validation: what changes from one to the next is the model.
        number = torch.zeros((), dtype=torch.int64, device=self.device)
        # Parts as equal as can be: a term estimated from a batch would mean something else on a small remainder.
        for rows_of_part in np.array_split(rows, ceil(len(rows) / self.spec.train.batch_size)):
            part = torch.from_numpy(rows_of_part).to(self.device)
            # A loss that holds gradients of its own needs them here too.
            with torch.set_grad_enabled(self.system.objective.order > 1), self.numerics.active():
                step = self.update.step_over(part, number, mode, "valid", self.source.info.train_size)
                extra = self.system.extra_batches * (part,)
                step = replace(step, extra=self.update.encoded(extra, number, "valid", self.source.info.train_size))
                terms, _ = self.system.losses(step)
            named = {f"loss/{name}": term.raw for name, term in terms.items()}
            named["loss/total"] = torch.stack([term.weighted for term in terms.values()]).sum()
            for name, value in named.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach().float() * len(part)
        return {name: float(value) / len(rows) for name, value in sums.items()}

    def _validation_rows(self) -> np.ndarray:
        return np.sort(self.source.choice("valid", VALIDATION_ROWS))

    def _tell(self, kind: str, values: dict[str, float]) -> None:
        if self.world.is_first:
            self.watcher.record({"step": self.step, "kind": kind, **values})

    def _refuse_bad(self) -> None:
        bad = self.update.bad()
        if bad is not None:
            last = checkpoint.pointed(self.run_directory, "last")
            good = f"the last good checkpoint is {last}" if last else "there is no checkpoint before it"
            raise TrainingError(
                f"{self.run_directory.path}: step {bad[0]}: {bad[1]} is not finite; {good}. "
                "Lower train.optimizer.lr, or set train.clip_norm"
            )

    def _phases(self) -> list[Phase]:
        train = self.spec.train
        extra = self.system.extra_batches
        phases, start = [], 0
        problems = []
        for index, item in enumerate(train.phases or [PhaseSpec(steps=train.total_steps)]):
            try:
                rows = self.source.rows("train", item.subset)
            except DataError as cause:
                problems.append(Problem(f"train.phases.{index}.subset", str(cause)))
                continue
            if len(rows) < train.batch_size:
                problems.append(
                    Problem(
                        "train.batch_size",
                        f"{train.batch_size} is more than the {len(rows)} training rows: use at most {len(rows)}",
                    )
                )
                continue
            phase = Phase(start, start + item.steps, list(item.learn) if item.learn else None, rows)
            for stream in ["data", *(f"extra{i}" for i in range(extra))]:
                phase.orders.append(
                    Order(
                        rows,
                        train.batch_size,
                        self.spec.seed,
                        f"{stream}/{index}",
                        self.device,
                        self.world.rank,
                        self.world.size,
                    )
                )
            phases.append(phase)
            start += item.steps
        if train.batch_size % self.world.size:
            problems.append(
                Problem("train.batch_size", f"{train.batch_size} does not divide over {self.world.size} processes")
            )
        if problems:
            raise SpecError("spec", problems)
        return phases

    def _examples_per_step(self) -> int:
        return self.spec.train.batch_size * self.spec.train.accumulate

    @cached_property
    def fingerprint(self) -> list[float]:
        """What tells one set of training rows from another: how many, the sum of their numbers, and the means of a few."""
        rows = self.source.rows("train")
        examples = self.source.examples(self.source.choice("train", FINGERPRINTED))
        return [len(rows), int(rows.sum()), *examples.flatten(1).float().mean(dim=1).tolist()]

    def _seen(self, batch: Batch) -> Batch:
        return replace(batch, x=self.system.model.normalise(batch.x))


class _TrainingView:
    """The training split as `setup` sees it."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.info = trainer.source.info

    def examples(self, count: int) -> Tensor:
        rows = self.trainer.source.choice("train", count)
        return self.trainer.system.model.normalise(self.trainer.source.examples(rows))

    def batches(self, size: int) -> Iterator[Batch]:
        return self.trainer.batches("train", size)

    def raw_batches(self, size: int) -> Iterator[Batch]:
        """Before standardisation, which is computed from these."""
        return self.trainer.source.batches(self.trainer.source.rows("train"), size)
