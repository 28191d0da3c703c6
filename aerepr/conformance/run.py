"""Every check of a component, and of all components of a package.

In a test of a plugin:

    @pytest.mark.parametrize("name", Registry().names("regularizer"))
    def test_contract(name: str) -> None:
        assert_conforms("regularizer", name)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from aerepr.conformance import (
    data,
    decoder,
    encoder,
    likelihood,
    losses,
    posterior,
    prior,
    products,
    sampling,
    specs,
)
from aerepr.conformance.result import Check, Result, own_generators, run_checks
from aerepr.conformance.world import LoadOnce, Subject
from aerepr.errors import AereprError, UsageError
from aerepr.registry.entrypoints import KINDS
from aerepr.registry.registry import Registry

CHECKS: dict[str, Sequence[Check[Subject]]] = {
    "encoder": encoder.ENCODER,
    "posterior": posterior.POSTERIOR,
    "prior": prior.PRIOR,
    "decoder": decoder.DECODER,
    "likelihood": likelihood.LIKELIHOOD,
    "regularizer": losses.REGULARIZER,
    "objective": losses.OBJECTIVE,
    "sampler": sampling.SAMPLER,
    "traversal": sampling.TRAVERSAL,
    "dataset": data.DATASET,
    "metric": products.METRIC,
    "exporter": products.EXPORTER,
    "logger": products.LOGGER,
}


def check_component(
    kind: str,
    name: str,
    registry: Registry | None = None,
    *,
    example: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> list[Result]:
    """Every check of one component, in order.

    Args:
        example: settings on top of its defaults; by default those of its catalogue.
        folder: where a data set's paths start; the current folder by default.

    Raises:
        UsageError: there is no such kind. UnknownComponent, DuplicateComponent: no component, or several, of that name.
    """
    if kind not in KINDS:
        raise UsageError(f'no kind "{kind}", expected one of {", ".join(KINDS)}')
    registry = registry or Registry()
    note = registry.note(kind, name)
    with tempfile.TemporaryDirectory() as scratch:
        subject = Subject(
            kind,
            name,
            LoadOnce(registry),
            scratch=Path(scratch),
            folder=folder or Path(),
            example=note.example if example is None else example,
            beside=note.beside,
        )
        try:
            with own_generators():
                subject.component  # noqa: B018 - the import itself is tried
        except AereprError as cause:
            return [Result(kind, name, "loads", False, str(cause))]
        loaded = Result(kind, name, "loads", True)
        with _one_thread():
            return [loaded, *run_checks(kind, name, subject, (*specs.CHECKS, *CHECKS[kind]))]


def check_package(package: str, registry: Registry | None = None) -> list[Result]:
    """Every check of every component that a package announces.

    Raises:
        UsageError: it announces none.
    """
    registry = registry or Registry()
    found = [(kind, entry.name) for kind in KINDS for entry in registry.entries(kind) if entry.package == package]
    if not found:
        packages = ", ".join(name for name, _ in registry.packages())
        raise UsageError(f'package "{package}" announces no component here; these do: {packages}')
    return [result for kind, name in found for result in check_component(kind, name, registry)]


def assert_conforms(
    kind: str,
    name: str,
    registry: Registry | None = None,
    *,
    example: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> None:
    """The checks as one assertion, for tests.

    Raises:
        AssertionError: a check failed; lists all that did. A skipped check is no failure.
    """
    failures = [
        result for result in check_component(kind, name, registry, example=example, folder=folder) if result.failed
    ]
    if failures:
        lines = [f"  {result.check}: {result.message}" for result in failures]
        raise AssertionError("\n".join([f'{kind} "{name}" breaks its contract:', *lines]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tensors here are so small that sharing them out costs more than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
