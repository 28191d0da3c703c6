"""Traversal of whole variables: all dimensions of one swept together, the others held at a base code.

Each dimension goes from the least to the greatest value of the run's codes, along the diagonal of the variable's box.

Source: Leeb et al. 2023, "Structure by Architecture", figure 4, for variables of several dimensions.
Shape letters: B base codes, S steps, D latent dimensions, I dimensions of a variable.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path, Traversal
from aerepr.spec.base import ComponentSpec


class VariableTraversalSpec(ComponentSpec):
    """Component `variables`."""

    steps: int = Field(7, ge=2, description="codes along each path, both ends included")


class VariableTraversal(Traversal):
    """One path for each variable, in order, for each base code."""

    Spec = VariableTraversalSpec

    def __init__(self, spec: VariableTraversalSpec) -> None:
        self.steps = spec.steps

    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths labelled with their variable."""
        low_D, high_D = (bound.to(base_BD) for bound in run.codes.aminmax(dim=0))
        sweep_SD = torch.lerp(low_D, high_D, torch.linspace(0, 1, self.steps).to(base_BD)[:, None])
        found = []
        for base_D in base_BD:
            for variable in run.layout:
                z_SD = base_D.repeat(self.steps, 1)
                z_SD[:, variable.start : variable.stop] = sweep_SD[:, variable.start : variable.stop]
                found.append(Path(variable.name, z_SD))
        return found
