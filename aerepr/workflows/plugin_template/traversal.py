"""Traversal `plugin_name`: straight lines from a base code to codes of the run.

Shape letters: B base codes, S steps, D latent dimensions.
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path, Traversal
from aerepr.spec.base import ComponentSpec


class PluginNameTraversalSpec(ComponentSpec):
    """Component `plugin_name`."""

    steps: int = Field(7, ge=2, description="codes along each path, both ends included")
    targets: PositiveInt = Field(4, description="codes of the run to go to, from each base code")


class PluginNameTraversal(Traversal):
    """One path for each base code and target."""

    Spec = PluginNameTraversalSpec

    def __init__(self, spec: PluginNameTraversalSpec) -> None:
        self.steps, self.targets = spec.steps, spec.targets

    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths labelled with the number of the code they end at."""
        fraction_S1 = torch.linspace(0, 1, self.steps).to(base_BD).unsqueeze(1)
        targets = run.codes[: self.targets].to(base_BD)
        return [
            Path(f"to code {number}", torch.lerp(base_D, target_D, fraction_S1))
            for base_D in base_BD
            for number, target_D in enumerate(targets)
        ]
