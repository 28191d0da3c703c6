"""`aerepr check`: everything that can be known of a spec before a second of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aerepr.errors import AereprError, Problem
from aerepr.kinds.dataset import Progress, silent
from aerepr.model.check import Report
from aerepr.registry.registry import Registry
from aerepr.spec.read import read_spec
from aerepr.spec.run import RunSpec
from aerepr.workflows.assemble import check_spec, open_source


def check(spec: str | Path, sets: Sequence[str] = (), progress: Progress = silent) -> tuple[RunSpec, Report]:
    """Check a spec file against its data.

    Args:
        spec: a TOML file. sets: overrides, each "dotted.path=value".
        progress: is told of work that takes long, such as decoding a data set.

    Returns:
        The resolved spec, and the report; what can be mended is in `report.problems`, data that cannot be read too.

    Raises:
        SpecError: the spec itself is wrong, so that there is nothing to check.
    """
    path = Path(spec)
    registry = Registry.beside(path.parent)
    resolved = read_spec(path, sets, registry)
    try:
        source = open_source(resolved.data, path.parent, registry, progress=progress)
    except AereprError as cause:
        problem = Problem("data", str(cause))
        return resolved, Report(latent_dim=resolved.model.latent_dim, problems=[problem])
    return resolved, check_spec(resolved, source, registry, str(path), exports=True)


def answer(report: Report | None, problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """A report as JSON; of a spec that could not be read, the problems alone."""
    report = report or Report(latent_dim=0, problems=list(problems))
    found = dataclasses.asdict(report)
    return {**found, "latent_dim": report.latent_dim or None}
