"""The modules of a finished run, put together again from its own files alone."""

from __future__ import annotations

import json
from dataclasses import dataclass

from aerepr.errors import RunDirectoryError
from aerepr.kinds.dataset import DataInfo, FactorInfo
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_system
from aerepr.model.system import System
from aerepr.registry.registry import Registry
from aerepr.rundir import bundle, manifest, tensors
from aerepr.rundir.bundle import Bundle
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import spec_from_json
from aerepr.spec.run import RunSpec


@dataclass(frozen=True)
class Opened:
    """What a run's files say, and its system: the model with its saved weights, the rest as it is built."""

    spec: RunSpec
    info: DataInfo
    system: System
    bundle: Bundle


def open_system(run: RunDirectory, registry: Registry) -> Opened:
    """Read a run.

    Raises:
        RunDirectoryError: it has no model, or a file is damaged.
        SpecError: a plugin it needs is not installed here.
    """
    found = bundle.load(run)
    manifest.require_packages(run)
    spec = spec_from_json(json.dumps(found.spec), str(run.bundle / "spec.json"), registry)
    try:
        info = info_from_card(found.card["data"])
    except (KeyError, TypeError, ValueError) as cause:
        raise RunDirectoryError(f"{run.bundle / 'card.json'}: damaged: what it says of the data: {cause!r}") from cause
    system = build_system(spec, info, registry)
    tensors.restore(system.model, found.model, str(run.bundle / "model.safetensors"))
    system.eval().requires_grad_(False)
    return Opened(spec, info, system, found)


def info_card(info: DataInfo) -> dict[str, object]:
    """What a bundle keeps of the data set."""
    return {
        "kind": info.shape.kind,
        "sizes": list(info.shape.sizes),
        "train_size": info.train_size,
        "factors": [[factor.name, factor.size] for factor in info.factors],
        "labels": list(info.labels),
        "frames": info.frames,
    }


def info_from_card(card: dict[str, object]) -> DataInfo:
    """The inverse of `info_card`."""
    return DataInfo(
        shape=DataShape(card["kind"], tuple(card["sizes"])),  # type: ignore[arg-type]
        train_size=int(card["train_size"]),  # type: ignore[call-overload]
        factors=tuple(FactorInfo(name, size) for name, size in card["factors"]),  # type: ignore[attr-defined]
        labels=tuple(card["labels"]),  # type: ignore[arg-type]
        frames=int(card["frames"]),  # type: ignore[call-overload]
    )
