"""The portable model of a run: weights, sampler, codes, gallery, spec and card, in one folder.

It needs no data set and no path of the machine it was made on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aerepr import atomic
from aerepr.errors import RunDirectoryError
from aerepr.rundir import tensors
from aerepr.rundir.layout import RunDirectory

FILES = ("model", "objective", "sampler", "codes", "gallery")


@dataclass(frozen=True)
class Bundle:
    """Contents of `model/`.

    Attributes:
        model, objective, sampler: states of the modules; `objective` holds regularizers and adversaries too.
        codes: `codes` (N, D) of training data, for samplers fitted later.
        gallery: `x` (G, *shape) test examples in data units, `factors` (G, F) where known; empty if none are kept.
        spec: the resolved spec. card: data shape, factors, layout, step.
    """

    model: dict[str, Tensor]
    objective: dict[str, Tensor]
    sampler: dict[str, Tensor]
    codes: dict[str, Tensor]
    gallery: dict[str, Tensor]
    spec: dict[str, Any]
    card: dict[str, Any]


def save(run: RunDirectory, bundle: Bundle) -> None:
    """Write the bundle, replacing an older one as a whole."""
    with atomic.folder_aside(run.bundle) as aside:
        parts: Mapping[str, dict[str, Tensor]] = {name: getattr(bundle, name) for name in FILES}
        hashes = {name: tensors.save(aside / f"{name}.safetensors", part) for name, part in parts.items()}
        (aside / "spec.json").write_text(json.dumps(bundle.spec, indent=2) + "\n", encoding="utf-8")
        card = {**bundle.card, "sha256": hashes | {"spec": tensors.digest(aside / "spec.json")}}
        # The card carries the hash of everything in it but this hash.
        card["sha256"]["card"] = _content(card)
        (aside / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def load(run: RunDirectory) -> Bundle:
    """Read and verify the bundle.

    Raises:
        RunDirectoryError: the run has none yet, or a file of it is damaged.
    """
    if not run.bundle.is_dir():
        state = run.state
        hint = "continue it with `aerepr train --resume`" if state != "done" else "the folder is damaged"
        raise RunDirectoryError(f"{run.path}: no model in this run (state: {state}): {hint}")
    try:
        card = json.loads((run.bundle / "card.json").read_text(encoding="utf-8"))
        spec = json.loads((run.bundle / "spec.json").read_text(encoding="utf-8"))
        found = {"card": _content(card), "spec": tensors.digest(run.bundle / "spec.json")}
        hashes = card.pop("sha256")
        for name, digest in found.items():
            if hashes[name] != digest:
                raise RunDirectoryError(
                    f"{run.bundle / name}.json: damaged: its content is not what was written (SHA-256 differs)"
                )
        parts = {name: tensors.load(run.bundle / f"{name}.safetensors", hashes[name]) for name in FILES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise RunDirectoryError(f"{run.bundle}: damaged: {cause}") from cause
    return Bundle(**parts, spec=spec, card=card)


def _content(card: dict[str, Any]) -> str:
    """SHA-256 of what a card says, but for this hash itself."""
    hashes = {key: value for key, value in card["sha256"].items() if key != "card"}
    return hashlib.sha256(json.dumps({**card, "sha256": hashes}, sort_keys=True).encode()).hexdigest()
