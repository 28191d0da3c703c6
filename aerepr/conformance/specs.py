"""Checks of a component's `Spec`, whatever its kind."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from aerepr.conformance.result import Broken, Check, Skip, require
from aerepr.conformance.world import Subject
from aerepr.kinds.dataset import Dataset
from aerepr.kinds.decoder import Decoder
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.exporter import Exporter
from aerepr.kinds.likelihood import Likelihood
from aerepr.kinds.logger import Logger
from aerepr.kinds.metric import Metric
from aerepr.kinds.objective import Objective
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.prior import Prior
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.traversal import Traversal
from aerepr.spec.base import path_fields

CONTRACTS: dict[str, type] = {
    "encoder": Encoder,
    "posterior": Posterior,
    "prior": Prior,
    "decoder": Decoder,
    "likelihood": Likelihood,
    "regularizer": Regularizer,
    "objective": Objective,
    "sampler": Sampler,
    "traversal": Traversal,
    "dataset": Dataset,
    "metric": Metric,
    "exporter": Exporter,
    "logger": Logger,
}

_UNKNOWN_KEY = "a_key_that_no_component_has"


def contract(subject: Subject) -> None:
    """The component derives from its contract, and its `Spec` from what every spec of the kind shares."""
    expected = CONTRACTS[subject.kind]
    found = subject.component
    require(
        isinstance(found, type) and issubclass(found, expected),
        f"{found!r} is not a class derived from {expected.__name__}",
    )
    spec, base = found.Spec, expected.Spec  # type: ignore[attr-defined]  # every contract has one
    require(
        isinstance(spec, type) and issubclass(spec, base),
        f"Spec is {spec!r}, expected a class derived from {base.__name__}",
    )


def defaults(subject: Subject) -> None:
    """The spec is valid from its defaults and the catalogue's example, and stays the same through JSON."""
    try:
        spec = subject.spec()
    except ValidationError as cause:
        if path_fields(subject.component.Spec):
            raise Skip(f"needs files: {_first(cause)}") from cause
        raise Broken(
            f"the spec is not valid from its defaults ({_first(cause)}): give the field a default, or the catalogue's entry "
            "an example = { ... }"
        ) from cause
    context = {"registry": subject.registry}
    # Defaults are validated only when they are written out.
    for tables in (spec.model_dump(), json.loads(spec.model_dump_json())):
        try:
            again = type(spec).model_validate(tables, context=context)
        except ValidationError as cause:
            raise Broken(f"a default is not valid when it is written out: {_first(cause)}") from cause
        require(again == spec, f"the spec changes when it is written out and read again: {spec!r} became {again!r}")


def frozen(subject: Subject) -> None:
    """A spec cannot be changed."""
    spec = subject.spec()
    try:
        spec.name = "another"
    except ValidationError:
        return
    raise Broken("the spec can be changed after validation: leave model_config alone, or keep frozen=True")


def unknown_keys(subject: Subject) -> None:
    """A key that the spec has not is refused."""
    try:
        subject.spec(**{_UNKNOWN_KEY: 1})
    except ValidationError:
        return
    raise Broken('the spec takes any key, so a misspelt one goes unnoticed: keep extra="forbid"')


def descriptions(subject: Subject) -> None:
    """Every field of the component's own says what it is, for `spec schema` and for the docs."""
    shared = CONTRACTS[subject.kind].Spec.model_fields  # type: ignore[attr-defined]
    fields: dict[str, Any] = subject.component.Spec.model_fields
    bare = [name for name, info in fields.items() if not info.description and not _inherits(name, info, shared)]
    require(not bare, f"no description of {', '.join(bare)}: write Field(..., description=...)")


def _inherits(name: str, info: Any, shared: dict[str, Any]) -> bool:
    return name in shared and (shared[name].default, shared[name].annotation) == (info.default, info.annotation)


def _first(cause: ValidationError) -> str:
    error = cause.errors()[0]
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}".removeprefix(": ")


CHECKS = (
    Check("contract", contract),
    Check("defaults", defaults, ("contract",)),
    Check("frozen", frozen, ("defaults",)),
    Check("unknown_keys", unknown_keys, ("defaults",)),
    Check("descriptions", descriptions, ("contract",)),
)
