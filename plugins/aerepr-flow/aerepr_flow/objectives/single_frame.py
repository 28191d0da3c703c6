"""`single_frame`: the evidence bound of one frame of each sequence, drawn at random: a VAE that sees all frames and no motion.

What a flow is held against: `elbo` sees the first frames alone, and its encoder would never have met the later ones.

Shape letters: B batch, T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from aerepr.kinds.objective import Objective
from aerepr.kinds.part import BuildContext
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Term, Terms
from aerepr.spec.base import ComponentSpec


class SingleFrameSpec(ComponentSpec):
    """Table `[model.objective]` with `name = "single_frame"`."""


class SingleFrame(Objective):
    """Distortion and regularizers of a frame; of still data the same as `elbo`."""

    Spec = SingleFrameSpec

    def __init__(self, spec: SingleFrameSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        """The terms of one batch."""
        batch = step.batch
        if batch.timed:
            count = batch.x.shape[1]
            frame_B = (step.noise("frame", "uniform", ()) * count).to(torch.int64).clamp(max=count - 1)
            x = batch.x[torch.arange(len(batch), device=frame_B.device), frame_B]
            # Factors are those of the first frame.
            batch = replace(batch, x=x, timed=False, factors=None)
        filled = model.infer(replace(step, batch=batch))
        return {"distortion": Term(-filled.likelihood.log_prob(batch.x).mean()), **regularize(filled)}
