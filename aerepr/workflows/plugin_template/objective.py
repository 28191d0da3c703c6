"""Objective `plugin_name`: the evidence lower bound of data that the encoder sees through noise.

    loss = E over noise e of  E_q(z given x + sigma e) [-log p(x given z)]  +  sum over regularizers of weight * term

Source: Im et al. 2017, arXiv:1511.06406 (the denoising criterion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydantic import Field, NonNegativeFloat

from aerepr.kinds.objective import Objective
from aerepr.kinds.part import BuildContext
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Term, Terms
from aerepr.spec.base import ComponentSpec


class PluginNameObjectiveSpec(ComponentSpec):
    """Table `[model.objective]` with `name = "plugin_name"`."""

    sigma: NonNegativeFloat = Field(0.1, description="standard deviation of the noise, in the units the encoder sees")


class PluginNameObjective(Objective):
    """Distortion of the clean data, and the regularizers. Only training adds noise."""

    Spec = PluginNameObjectiveSpec

    def __init__(self, spec: PluginNameObjectiveSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.sigma = spec.sigma

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        """`distortion` in nats an example, and one term a regularizer."""
        clean, seen = step.batch.first, step
        if step.mode == "sample":
            x = step.batch.x
            noisy = x + self.sigma * step.noise("plugin_name", "normal", tuple(x.shape[1:]))
            seen = replace(step, batch=replace(step.batch, x=noisy))
        seen = model.infer(seen)
        return {"distortion": Term(-seen.likelihood.log_prob(clean).mean()), **regularize(seen)}
