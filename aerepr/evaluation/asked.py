"""Which metrics are meant, and with what settings: those named, or the default set with those of the run's spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aerepr.errors import AereprError, UsageError
from aerepr.kinds.metric import Metric
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec
from aerepr.spec.base import ComponentSpec, path_fields


def default_names(registry: Registry) -> tuple[list[str], dict[str, str]]:
    """Metrics of the default set, and those left out of it: name to the reason.

    Metrics of several runs are in neither: no run can have them. A component that cannot be loaded, or has settings without
    defaults, is left out.
    """
    chosen, left_out = [], {}
    for name in registry.names("metric"):
        try:
            component: type[Metric] = registry.load("metric", name)
            if not component.on_request:
                component_spec(registry, "metric", name, {})
        except AereprError as cause:
            left_out[name] = str(cause)
            continue
        if component.on_request:
            left_out[name] = component.on_request
        elif component.needs != "runs":
            chosen.append(name)
    return chosen, left_out


def label(spec: ComponentSpec) -> str:
    """How a metric is called among others: its name, and after an `@` its protocol, where that is not the default one."""
    field = type(spec).model_fields.get("protocol")
    protocol = getattr(spec, "protocol", None)
    return spec.name if field is None or protocol == field.default else f"{spec.name}@{protocol}"


def metric_specs(
    registry: Registry,
    own: Sequence[ComponentSpec],
    names: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> dict[str, ComponentSpec]:
    """The metrics' tables by label.

    Args:
        own: tables of the run's spec, which settings start from.
        names: "metric" or "metric@protocol"; None: the default set, and the run's own.
        settings: fields by metric. seed: of what metrics draw, where they draw; None: as their tables say.

    Raises:
        UsageError: no metric, or settings of one that is not asked for. UnknownComponent: no metric of that name.
        SpecError: a setting is wrong.
    """
    tables = {label(item): item for item in own}
    wanted = list(dict.fromkeys([*default_names(registry)[0], *tables] if names is None else names))
    if not wanted:
        raise UsageError(f"name at least one metric; installed: {', '.join(registry.names('metric'))}")
    components = {item.partition("@")[0] for item in wanted}
    for name, fields in (settings or {}).items():
        if name not in components or not isinstance(fields, Mapping):
            raise UsageError(
                f"--set {name}: expected metric.key=value with one of the metrics computed: {', '.join(wanted)}"
            )
    found = {}
    for item in wanted:
        name, at, protocol = item.partition("@")
        given: dict[str, Any] = {"protocol": protocol} if at else {}
        if seed is not None and "seed" in registry.load("metric", name).Spec.model_fields:
            given["seed"] = seed
        base = tables.get(item) or tables.get(name)
        spec = component_spec(registry, "metric", name, given | (settings or {}).get(name, {}), base)
        found[label(spec)] = spec
    return found


def placed(settings: Mapping[str, Mapping[str, Any]], folder: Path, registry: Registry) -> dict[str, dict[str, Any]]:
    """Settings of metrics as a file in `folder` says them: paths start there.

    A bare word that names nothing in that folder is no path but a name, such as that of a run, and stays as it is.

    Raises:
        UnknownComponent: no metric of that name.
    """
    found = {}
    for metric, fields in settings.items():
        paths = path_fields(registry.load("metric", metric).Spec)
        found[metric] = {key: _placed(value, folder) if key in paths else value for key, value in fields.items()}
    return found


def _placed(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or not value:
        return value  # refused, with the settings of its metric
    path = Path(value)
    is_name = len(path.parts) == 1 and not (folder / path).exists()
    return value if is_name else str(folder / path)
