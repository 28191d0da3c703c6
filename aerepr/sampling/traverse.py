"""Traversals: paths through the latent space from a base code, decoded, a row a path.

Shape letters: B base codes, S steps of a path, N codes, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.traversal import Traversal
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec
from aerepr.sampling.sample import decode, encode


@dataclass(frozen=True)
class Row:
    """One path: its label, codes z (S, D) and decoded values (S, *shape) in data units."""

    label: str
    z: Tensor
    values: Tensor


def build_traversal(name: str, settings: Mapping[str, Any], registry: Registry) -> Traversal:
    """A traversal by name.

    Raises:
        UnknownComponent: no traversal of that name. SpecError: a setting is wrong.
    """
    spec = component_spec(registry, "traversal", name, settings)
    traversal: Traversal = registry.load("traversal", name)(spec)
    return traversal


def traverse(view: View, traversal: Traversal, base_BD: Tensor) -> list[Row]:
    """Every path from the base codes, decoded, in the order the traversal gives: that of the decoder's variables."""
    with torch.no_grad():
        paths = traversal.paths(view, base_BD)
    # Decoded together, because single paths are short and batches of few rows waste most of their time.
    values = decode(view, torch.cat([path.z_SD for path in paths])) if paths else torch.zeros(0)
    parts = values.split([len(path.z_SD) for path in paths])
    return [Row(path.label, path.z_SD, part) for path, part in zip(paths, parts, strict=True)]


def base_code(view: View, index: int = 0, examples: Tensor | None = None) -> Tensor:
    """The code (1, D) that traversals start from.

    Args:
        index: which test example of the gallery. A run without a gallery has one base code, the stored code nearest to
            the mean of all.
        examples: instead of the gallery, (n, *shape) in data units.

    Raises:
        UsageError: there is no such example.
    """
    if examples is not None:
        if not 0 <= index < len(examples):
            raise UsageError(
                f"base: expected {_range(len(examples))}, got {index}: the data holds {len(examples)} examples"
            )
        return encode(view, examples[index : index + 1])
    count = len(view.gallery)
    if not count and index == 0:
        distances_N = (view.codes - view.codes.mean(dim=0)).square().sum(dim=1)
        return view.codes[int(distances_N.argmin())][None]
    if not 0 <= index < count:
        kept = f"the run keeps {count} test examples" if count else "the run keeps no test examples (data.gallery = 0)"
        raise UsageError(f"base: expected {_range(count)}, got {index}: {kept}")
    return encode(view, view.gallery[index : index + 1])


def _range(count: int) -> str:
    return f"a number from 0 to {count - 1}" if count > 1 else "0"
