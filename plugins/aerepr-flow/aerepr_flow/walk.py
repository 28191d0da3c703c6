"""Codes along a flow, for what reads a run: traversals and metrics.

    forward   z_t = z_{t-1} + sum_k w_k grad u^k(z_{t-1}, t)        backward   z_{-t} = z_{-t+1} - sum_k w_k grad u^k(z_{-t+1}, t)

t = 1, 2, ... in both. Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 3, and the
authors' code.
Shape letters: B batch, D latent dimensions, K transformations, T steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.run import RunView
from aerepr_flow.flow import Flow
from aerepr_flow.objectives.flow import FlowObjective


def flow_objective(run: RunView, who: str, instead: str = "") -> FlowObjective:
    """The objective of a run, which has the flow.

    Args:
        who: asks for it, such as 'traversal "flow"'. instead: what else may be asked of a run without one.

    Raises:
        UsageError: the run was trained with another.
    """
    if not isinstance(run.objective, FlowObjective):
        name = run.spec.model.objective.name
        raise UsageError(f'{who} needs the objective "flow", and this run has "{name}"{instead}')
    return run.objective


def steps_along(flow: Flow, z_BD: Tensor, weights: Sequence[Tensor], backward: bool = False) -> Iterator[Tensor]:
    """Codes (B, D) after the first step, the second, ..., of which only the newest is kept.

    Args:
        weights: of the transformations, (B, K), for each step.
    """
    for number, weights_BK in enumerate(weights, start=1):
        t_B = z_BD.new_full((1,), float(number))
        velocity_BD = flow.velocity(z_BD, t_B, weights_BK)
        z_BD = (z_BD - velocity_BD if backward else z_BD + velocity_BD).detach()
        yield z_BD


def along(flow: Flow, z_BD: Tensor, weights: Sequence[Tensor], backward: bool = False) -> Tensor:
    """The codes themselves and all that follow, (T + 1, B, D)."""
    return torch.stack([z_BD, *steps_along(flow, z_BD, weights, backward)])
