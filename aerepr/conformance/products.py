"""Checks of what reads a run or listens to one: metrics, exporters, loggers.

Shape letters: N rows, D latent dimensions, F factors.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aerepr.conformance.parts import same
from aerepr.conformance.result import Broken, Check, Skip, generators_untouched, own_generators, require
from aerepr.conformance.world import WORLDS, Scene, Subject, World
from aerepr.errors import AereprError, ExportError, MissingExtra, SpecError
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.logger import Logger
from aerepr.kinds.metric import Metric
from aerepr.kinds.objective import Objective
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Terms
from aerepr.layers.exportable import TOLERANCE
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

# Small vectors: graphs that convert quickly, and every metric can read them.
_VECTORS: World = next(world for world in WORLDS if world.name == "vectors")
_IMAGES: World = next(world for world in WORLDS if world.name == "grey images")
_SEQUENCES: World = next(world for world in WORLDS if world.name == "sequences")


# Metric.


def _metric(subject: Subject) -> Metric:
    component: Metric = subject.component(subject.spec())
    return component


def metric_declares(subject: Subject) -> None:
    """What it needs, and its protocol in one line."""
    component = subject.component
    needs = getattr(component, "needs", None)
    require(needs in ("codes", "run", "runs"), f"needs is {needs!r}, expected codes, run or runs")
    protocol = getattr(component, "protocol", "")
    require(
        isinstance(protocol, str) and bool(protocol.strip()) and "\n" not in protocol,
        f"protocol is {protocol!r}, expected one line that says how the numbers come about",
    )
    _metric(subject)


def _compute(subject: Subject) -> dict[str, float]:
    metric = _metric(subject)
    needs = type(metric).needs
    if needs == "codes":
        arguments: tuple[Any, ...] = _codes()
    elif needs == "run":
        arguments = (_run(subject, 0),)
    else:
        arguments = ([_run(subject, seed) for seed in range(3)],)
    try:
        with torch.no_grad():
            return metric.compute(*arguments)
    except MissingExtra as cause:
        raise Skip(str(cause)) from cause
    except AereprError as cause:
        raise Broken(f"refuses the run it is tried on ({cause}): {_BESIDE}") from cause


_BESIDE = 'name what it needs in its entry of the catalogue, such as beside = { posterior = { name = "..." } }'


def _run(subject: Subject, seed: int) -> View:
    view = _scene(subject, seed).view()
    missing = set(subject.component.modes) - set(view.model.posterior.modes)
    require(not missing, f"needs the posterior modes {', '.join(sorted(missing))}: {_BESIDE}")
    return view


def _scene(subject: Subject, seed: int) -> Scene:
    """Grey images, or sequences where what its catalogue puts beside it takes nothing else."""
    try:
        return subject.scene(_IMAGES, seed=seed)
    except SpecError:
        return subject.scene(_SEQUENCES, seed=seed)


def _codes() -> tuple[np.ndarray, np.ndarray]:
    """Codes (300, 4) of which three follow three factors, with noise."""
    count = 300
    classes_NF = (sample_noise(count, 3, 51, "uniform") * torch.tensor([3.0, 4.0, 5.0])).long()
    codes_ND = 0.3 * sample_noise(count, 4, 52, "normal")
    codes_ND[:, :3] += classes_NF
    return codes_ND.numpy(), classes_NF.numpy()


def metric_numbers(subject: Subject) -> None:
    """Finite numbers, each keyed by the metric's name and a field."""
    found = _compute(subject)
    require(isinstance(found, dict) and len(found) > 0, f"gives {found!r}, expected named numbers")
    for key, value in found.items():
        require(key.startswith(f"{subject.name}."), f'gives the key "{key}", expected "{subject.name}.<field>"')
        require(isinstance(value, float) and math.isfinite(value), f"{key} is {value!r}, expected a finite float")


def metric_generator(subject: Subject) -> None:
    """The global generators are neither read nor changed."""
    with generators_untouched("computing the metric"):
        _compute(subject)


def metric_deterministic(subject: Subject) -> None:
    """The same codes or run give the same numbers."""
    found = []
    for _ in range(2):
        with own_generators():
            found.append(_compute(subject))
    require(found[0] == found[1], f"gives other numbers when asked twice: {found[0]} and {found[1]}")


# Exporter.


class _Frozen(nn.Module):
    """Takes the batch size for a constant, in a way that every format freezes."""

    def forward(self, z: Tensor) -> Tensor:
        return z * float(np.sqrt(int(z.shape[0])))


class _Freezing(Objective):
    """An objective whose one entry no exporter can write faithfully."""

    def forward(self, model: Model, step: Step, regularize: Any) -> Terms:
        return dict(regularize(model.infer(step)))

    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return {"frozen": (_Frozen(), (torch.ones(2, 3),))}


def _exporter(subject: Subject) -> Exporter:
    component: Exporter = subject.component(subject.spec())
    return component


def _write(subject: Subject, run: View, folder: Path) -> list[Exported]:
    folder.mkdir(parents=True)
    try:
        return _exporter(subject).write(run, folder)
    except MissingExtra as cause:
        raise Skip(str(cause)) from cause


def exporter_writes(subject: Subject) -> None:
    """Files, each listed with what it is for and how far it is from the eager model; generators and model as they were."""
    scene: Scene = subject.scene(_VECTORS)
    run, folder = scene.view(data=False), subject.scratch / "exports"
    scene.system.train()
    before = [value.clone() for value in scene.system.state_dict().values()]
    with generators_untouched("exporting"):
        exported = _write(subject, run, folder)
    require(len(exported) > 0, "writes nothing")
    listed = {item.file for item in exported}
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    require(written == listed, f"lists {', '.join(sorted(listed))} and writes {', '.join(sorted(written))}")
    for item in exported:
        require(bool(item.purpose), f"{item.file} does not say what it is for")
        require(
            item.max_abs_diff is None or 0 <= item.max_abs_diff <= TOLERANCE,
            f"{item.file} differs from the eager model by {item.max_abs_diff}, expected at most {TOLERANCE}",
        )
    require(same(before, list(scene.system.state_dict().values())), "exporting changes the model")
    require(all(module.training for module in scene.system.modules()), "exporting leaves the model in another mode")
    require(all(p.requires_grad for p in scene.system.parameters()), "exporting leaves the model without gradients")


def exporter_verifies(subject: Subject) -> None:
    """A graph that cannot be exported faithfully raises an `ExportError`, and no file of it stays."""
    run, folder = subject.scene(_VECTORS).view(data=False), subject.scratch / "frozen"
    run.system.objective = _Freezing()
    try:
        exported = _write(subject, run, folder)
    except ExportError:
        exported = []
    else:
        entries = [item for item in exported if "frozen" in item.file]
        require(not entries, f"{', '.join(item.file for item in entries)} was not compared at several batch sizes")
    stayed = [path.name for path in folder.rglob("*frozen*")]
    require(not stayed, f"{', '.join(stayed)} stays, and does not agree with the eager model")


# Logger.


def _logger(subject: Subject, folder: Path, step: int) -> Logger:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        logger: Logger = subject.component(subject.spec(), folder, step)
    except MissingExtra as cause:
        raise Skip(str(cause)) from cause
    return logger


def _tell(logger: Logger, step: int) -> None:
    logger.record(step, {"train/loss/total": 1.5, "perf/examples_per_second": 100.0})
    logger.picture(step, "reconstructions", np.full((8, 12, 3), 128, dtype=np.uint8))


def logger_listens(subject: Subject) -> None:
    """It takes records and pictures, and closes."""
    logger = _logger(subject, subject.scratch / "run", 0)
    for step in (0, 5, 10):
        _tell(logger, step)
    logger.close()


def logger_resumes(subject: Subject) -> None:
    """A run that is continued opens it again in the same folder, and a run that fails closes it at once."""
    folder = subject.scratch / "resumed"
    for step in (0, 5):
        logger = _logger(subject, folder, step)
        _tell(logger, step)
        logger.close()
    _logger(subject, folder, 5).close()


def logger_generator(subject: Subject) -> None:
    """The global generators are neither read nor changed."""
    with generators_untouched("logging"):
        logger = _logger(subject, subject.scratch / "quiet", 0)
        _tell(logger, 0)
        logger.close()


METRIC = (
    Check("declares", metric_declares, ("defaults",)),
    Check("numbers", metric_numbers, ("declares",)),
    Check("generator", metric_generator, ("numbers",)),
    Check("deterministic", metric_deterministic, ("numbers",)),
)
EXPORTER = (
    Check("writes", exporter_writes, ("defaults",)),
    Check("verifies", exporter_verifies, ("writes",)),
)
LOGGER = (
    Check("listens", logger_listens, ("defaults",)),
    Check("resumes", logger_resumes, ("listens",)),
    Check("generator", logger_generator, ("listens",)),
)
