"""Traversal along the grid: each dimension moved over the positions of a categorical prior, the others held at a base code.

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations".
Shape letters: B base codes, S steps, D latent dimensions, K positions.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path, Traversal
from aerepr.spec.base import ComponentSpec


class GridTraversalSpec(ComponentSpec):
    """Component `grid`."""

    steps: int = Field(
        8, ge=2, description="positions shown, both ends included; as many as there are, if these are fewer"
    )


class GridTraversal(Traversal):
    """One path for each latent dimension, in order, for each base code; every code on it is a grid point there."""

    Spec = GridTraversalSpec

    def __init__(self, spec: GridTraversalSpec) -> None:
        self.steps = spec.steps

    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths labelled with their variable.

        Raises:
            UsageError: the prior has no positions.
        """
        positions_K = getattr(run.model.prior, "positions_K", None)
        if positions_K is None:
            name = run.spec.model.prior.name
            raise UsageError(
                f'traversal "grid" needs a prior on a grid, such as "uniform_categorical", and this run has "{name}": use '
                '"dimensions"'
            )
        places_S = torch.linspace(0, len(positions_K) - 1, min(self.steps, len(positions_K))).round().long()
        positions_S = positions_K.to(base_BD)[places_S.to(base_BD.device)]
        found = []
        for base_D in base_BD:
            for variable in run.layout:
                for d in range(variable.start, variable.stop):
                    z_SD = base_D.repeat(len(positions_S), 1)
                    z_SD[:, d] = positions_S
                    name = variable.name if variable.size == 1 else f"{variable.name}[{d - variable.start + 1}]"
                    found.append(Path(name, z_SD))
        return found
