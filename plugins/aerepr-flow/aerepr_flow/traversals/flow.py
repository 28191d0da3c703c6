"""Traversal `flow`: a code carried along a learned transformation, backward and forward, and the pictures it passes.

With k, one transformation; with `switch = [t, j]`, transformation j takes over after t steps, from where the code is; with
`weights`, several act at once; with neither, there is a path for each transformation. The code that is given stands in the
middle of a path that goes both ways.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4 and figures 3 to 6.
Shape letters: B base codes, S codes of a path, D latent dimensions, K transformations, T steps.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional as F

from aerepr.data.lookup import suggestion
from aerepr.errors import UsageError
from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path, Traversal
from aerepr.spec.base import ComponentSpec
from aerepr_flow.walk import along, flow_objective

Which = NonNegativeInt | str


class FlowTraversalSpec(ComponentSpec):
    """Component `flow`."""

    k: Which | None = Field(None, description="one transformation, by number from 0 or by name; left out: each of them")
    steps: PositiveInt | None = Field(
        None, description="T, steps each way; left out: as many as in training. Further ones were never trained"
    )
    direction: Literal["both", "forward", "backward"] = Field("both", description="where to go from the base code")
    switch: tuple[PositiveInt, Which] | None = Field(
        None, description="[t, j]: after t steps along k go on along j, numbers of steps counted on"
    )
    weights: list[float] | None = Field(
        None, min_length=1, description="a weight for each transformation, which then act together; instead of k"
    )

    @model_validator(mode="after")
    def _one_way(self) -> FlowTraversalSpec:
        if self.weights is not None and (self.k is not None or self.switch is not None):
            raise ValueError("weights say of every transformation how much of it acts: leave k and switch out")
        if self.switch is not None and self.k is None:
            raise ValueError("switch says what takes over from k: give k too")
        if self.switch is not None and self.steps is not None and self.switch[0] >= self.steps:
            raise ValueError(f"switch after {self.switch[0]} of {self.steps} steps leaves none: switch earlier")
        return self


class FlowTraversal(Traversal):
    """Paths labelled with the transformations that act on them."""

    Spec = FlowTraversalSpec

    def __init__(self, spec: FlowTraversalSpec) -> None:
        self.spec = spec

    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths of each base code.

        Raises:
            UsageError: the run has no flow, there is no such transformation, or the weights are not one for each.
        """
        objective = flow_objective(run, 'traversal "flow"')
        steps = self.spec.steps or objective.steps
        found = []
        with torch.no_grad():
            for label, weights_TK in self._ways(objective.transformations, steps):
                weights = weights_TK.to(base_BD)[:, None].expand(-1, len(base_BD), -1).unbind()
                back = along(objective.flow, base_BD, weights, backward=True).flip(0)
                forth = along(objective.flow, base_BD, weights)
                ways = {"both": torch.cat([back, forth[1:]]), "forward": forth, "backward": back}
                z_SBD = ways[self.spec.direction]
                found += [(label, z_SD) for z_SD in z_SBD.unbind(dim=1)]
        # A base code at a time, all its transformations together.
        of_base = [found[base :: len(base_BD)] for base in range(len(base_BD))]
        return [Path(label, z_SD) for paths in of_base for label, z_SD in paths]

    def _ways(self, names: tuple[str, ...], steps: int) -> list[tuple[str, Tensor]]:
        """What acts at each step: label and weights (T, K)."""
        eye_KK = torch.eye(len(names))
        if self.spec.weights is not None:
            if len(self.spec.weights) != len(names):
                raise UsageError(
                    f"weights: expected {len(names)} numbers, one for each of {', '.join(names)}, got "
                    f"{len(self.spec.weights)}"
                )
            parts = [f"{weight:g} {name}" for weight, name in zip(self.spec.weights, names, strict=True) if weight]
            return [(" + ".join(parts) or "nothing", torch.tensor(self.spec.weights).expand(steps, -1))]
        if self.spec.k is None:
            return [(name, eye_KK[k].expand(steps, -1)) for k, name in enumerate(names)]
        first = _number("k", self.spec.k, names)
        if self.spec.switch is None:
            return [(names[first], eye_KK[first].expand(steps, -1))]
        after, then = self.spec.switch
        if after >= steps:
            raise UsageError(f"switch after {after} of {steps} steps leaves none: switch earlier, or take more steps")
        second = _number("switch", then, names)
        acting_T = torch.tensor([first] * after + [second] * (steps - after))
        return [(f"{names[first]}, then {names[second]}", F.one_hot(acting_T, len(names)).to(eye_KK.dtype))]


def _number(field: str, which: int | str, names: tuple[str, ...]) -> int:
    """The transformation that is meant, from 0."""
    numbered = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    if isinstance(which, str):
        if which not in names:
            raise UsageError(f'{field}: expected one of {numbered}, got "{which}"{suggestion(which, names)}')
        return names.index(which)
    if which >= len(names):
        raise UsageError(f"{field}: expected one of {numbered}, got {which}")
    return which
