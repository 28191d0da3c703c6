"""Every check finds the one thing that a deliberately broken component does wrong, and no other check does.

The components are in `broken/`, a file for each kind. The checks that all modules share are tried on encoders, and where the
outputs differ in sort on others.
"""

from __future__ import annotations

from typing import Any

import pytest

from aerepr.conformance.run import CHECKS, check_component
from aerepr.conformance.specs import CHECKS as SPEC_CHECKS
from tests.conformance.broken import (
    datasets,
    decoders,
    encoders,
    exporters,
    likelihoods,
    loggers,
    metrics,
    objectives,
    posteriors,
    priors,
    regularizers,
    samplers,
    specs,
    traversals,
)
from tests.conformance.broken.collected import BROKEN, Stub

# Importing them is what fills the list.
FILES = (
    specs,
    encoders,
    decoders,
    posteriors,
    priors,
    likelihoods,
    regularizers,
    objectives,
    samplers,
    traversals,
    datasets,
    metrics,
    exporters,
    loggers,
)


@pytest.mark.parametrize(
    ("kind", "check", "component"),
    [pytest.param(*item, id=f"{item[0]}-{item[1]}-{i}") for i, item in enumerate(BROKEN)],
)
def test_only_the_check_meant_for_it_fails(kind: str, check: str, component: Any):
    results = check_component(kind, "broken", Stub(kind, component))
    failed = {result.check: result.message for result in results if result.failed}
    assert list(failed) == [check], failed
    assert failed[check]


SHARED = {check.name for check in CHECKS["encoder"]}


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_has_a_component_that_fails_it(kind: str):
    tried = {check for found, check, _ in BROKEN if found == kind}
    assert {check.name for check in CHECKS[kind]} - tried - (set() if kind == "encoder" else SHARED) == set()


def test_every_check_of_a_table_has_a_component_that_fails_it():
    assert {check.name for check in SPEC_CHECKS} - {check for _, check, _ in BROKEN} == set()


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("encoder", encoders.SmallEncoder),
        ("decoder", decoders.SmallDecoder),
        ("regularizer", regularizers.Square),
        ("traversal", traversals.Line),
        ("dataset", datasets.Grid),
        ("metric", metrics.Spread),
        ("logger", loggers.Silent),
    ],
)
def test_what_the_broken_ones_derive_from_is_whole(kind: str, component: Any):
    assert [r for r in check_component(kind, "broken", Stub(kind, component)) if not r.passed] == []
