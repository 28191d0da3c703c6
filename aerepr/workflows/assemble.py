"""What several workflows need: the data of a spec, its check, and a finished run put together again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from aerepr.data.cache import cache_directory
from aerepr.data.source import DataSource
from aerepr.errors import AereprError, DataError, Problem, SpecError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Dataset, Progress, silent
from aerepr.model.build import build_sampler
from aerepr.model.check import Report, check
from aerepr.model.opened import open_system
from aerepr.model.view import Split, View
from aerepr.registry.registry import Registry
from aerepr.rundir import manifest, tensors
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.data import DatasetSpec
from aerepr.spec.run import RunSpec
from aerepr.training import precision, schedules


def open_source(
    spec: DatasetSpec,
    folder: Path,
    registry: Registry,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> DataSource:
    """The data set of a `[data]` table whose paths start in `folder`.

    Args:
        device: where batches are made. progress: is told of work that takes long, such as decoding a large file.

    Raises:
        DataError: a file is missing, damaged or not what the table says.
    """
    component = registry.load("dataset", spec.name)
    context = DataContext(folder=folder, cache=cache_directory(), progress=progress, load=registry.load)
    dataset: Dataset = component(spec, context)
    return DataSource(dataset, spec, device)


def check_spec(spec: RunSpec, source: DataSource, registry: Registry, name: str, exports: bool = False) -> Report:
    """Everything about a spec that can be known before training.

    Args:
        name: how messages call the spec.
    """
    report = check(spec, source.info, registry, exports)
    report.problems += schedules.problems(spec)
    report.problems += _phase_problems(spec, source)
    if spec.data.standardize and source.info.shape.is_image:
        report.problems.append(Problem("data.standardize", "is for vector data; images are seen in [0, 1]: remove it"))
    report.notes += source.dataset.notes
    return report


def require(report: Report, name: str) -> Report:
    """The report, if it found no problem.

    Raises:
        SpecError: it did; lists them all.
    """
    if report.problems:
        raise SpecError(name, report.problems)
    return report


def _phase_problems(spec: RunSpec, source: DataSource) -> list[Problem]:
    found = []
    for index, phase in enumerate(spec.train.phases):
        path = f"train.phases.{index}"
        try:
            rows = source.rows("train", phase.subset)
        except AereprError as cause:
            found.append(Problem(f"{path}.subset", str(cause)))
            continue
        if len(rows) < spec.train.batch_size:
            found.append(Problem(f"{path}.subset", f"leaves {len(rows)} training rows, fewer than train.batch_size"))
    if not spec.train.phases and source.info.train_size < spec.train.batch_size:
        rows_text = f"{source.info.train_size} training rows"
        found.append(
            Problem(
                "train.batch_size",
                f"{spec.train.batch_size} is more than the {rows_text}: use at most {source.info.train_size}",
            )
        )
    return found


def open_run(run: RunDirectory, registry: Registry | None = None, data: Path | None = None) -> View:
    """A finished run, put together from its own files alone.

    Args:
        data: folder in which the spec's data paths start, if the run's batches are wanted from elsewhere than where it
            was trained.

    Raises:
        RunDirectoryError: it has no model, or a file is damaged.
        SpecError: a plugin it needs is not installed here.
    """
    registry = registry or Registry()
    opened = open_system(run, registry)
    spec, info, system, found = opened.spec, opened.info, opened.system, opened.bundle
    tensors.restore(_rest(system), found.objective, str(run.bundle / "objective.safetensors"))
    sampler = build_sampler(spec, system, info, registry)
    codes = found.codes["codes"]
    # Fitting gives the buffers their sizes; the saved ones then take their place.
    sampler.fit(codes, system.layout, system.model.prior)
    tensors.restore(sampler, found.sampler, str(run.bundle / "sampler.safetensors"))
    sampler.eval().requires_grad_(False)
    precision.prepare(system, precision.plain(info.shape.is_image, torch.device("cpu")))
    view = View(spec, system, sampler, info, codes, found.gallery.get("x", torch.empty(0, *info.shape.sizes)))
    view.set_source(lambda split: _batches(run, registry, view, split, data))
    return view


def run_source(
    run: RunDirectory,
    view: View,
    registry: Registry,
    data: Path | None = None,
    device: torch.device | str = "cpu",
) -> DataSource:
    """The data set of a run.

    Args:
        data: folder in which the spec's data paths start, if the data moved since training.
        device: where batches are made.

    Raises:
        DataError: it is not there, or not what the run was trained on.
    """
    folder = data or Path(manifest.read_env(run)["folder"])
    where = f"The run's data is looked for from {folder}: pass --folder DIR (in Python: data=DIR) if it moved"
    try:
        source = open_source(view.spec.data, folder, registry, device)
    except DataError as cause:
        raise DataError(f"{cause}\n{where}") from cause
    if (source.info.shape, source.info.factors) != (view.info.shape, view.info.factors):
        found, expected = (f"{info.shape}, {len(info.factors)} factors" for info in (source.info, view.info))
        raise DataError(f"{folder}: {found}, expected what the run was trained on: {expected}\n{where}")
    return source


def _rest(system: torch.nn.Module) -> torch.nn.Module:
    """Objective, regularizers and weights: what a bundle keeps apart from the model."""
    rest = torch.nn.Module()
    for name in ("objective", "regularizers", "weights"):
        rest.add_module(name, system.get_submodule(name))
    return rest


def rest_state(system: torch.nn.Module) -> dict[str, torch.Tensor]:
    """State of everything but the model."""
    return dict(_rest(system).state_dict())


def _batches(run: RunDirectory, registry: Registry, view: View, split: Split, data: Path | None) -> Iterator[Batch]:
    source = run_source(run, view, registry, data)
    for batch in source.batches(source.rows(split)):
        yield view.seen(batch)
