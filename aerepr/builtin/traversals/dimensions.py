"""Traversal of single dimensions: each swept over the range of the run's codes, the others held at a base code.

Source: Leeb et al. 2023, "Structure by Architecture", figure 4 (7 equal steps from the least to the greatest value seen;
there over 128 test images, here over the run's stored training codes).
Shape letters: B base codes, S steps, D latent dimensions.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path, Traversal
from aerepr.spec.base import ComponentSpec


class DimensionTraversalSpec(ComponentSpec):
    """Component `dimensions`."""

    steps: int = Field(7, ge=2, description="codes along each path, both ends included")


class DimensionTraversal(Traversal):
    """One path for each latent dimension, in order, for each base code."""

    Spec = DimensionTraversalSpec

    def __init__(self, spec: DimensionTraversalSpec) -> None:
        self.steps = spec.steps

    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths labelled with their variable, and the dimension in it where it has several."""
        low_D, high_D = (bound.to(base_BD) for bound in run.codes.aminmax(dim=0))
        fraction_S = torch.linspace(0, 1, self.steps).to(base_BD)
        found = []
        for base_D in base_BD:
            for variable in run.layout:
                for d in range(variable.start, variable.stop):
                    z_SD = base_D.repeat(self.steps, 1)
                    z_SD[:, d] = torch.lerp(low_D[d], high_D[d], fraction_S)
                    name = variable.name if variable.size == 1 else f"{variable.name}[{d - variable.start + 1}]"
                    found.append(Path(name, z_SD))
        return found
