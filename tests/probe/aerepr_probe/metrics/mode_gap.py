"""Straight-through gap: how much worse the decoder does on the likeliest grid point than on the mean position.

A low gap says that codes lie on the grid. Regularizers are left out, so runs of different weights compare.

Source: Friede et al. 2023, Learning Disentangled Discrete Representations, as in the authors' code, on held-out data.
"""

from __future__ import annotations

import torch

from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Mode
from aerepr.spec.base import ComponentSpec


class ModeGap(Metric):
    """Distortion with hard codes, with soft codes, and the absolute difference."""

    Spec = ComponentSpec
    needs = "run"
    modes = ("soft", "hard")
    protocol = "nats an example over the test split; soft: mean position, hard: likeliest position, no noise"

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, run: RunView) -> dict[str, float]:
        """The gap of one run."""
        soft, hard = _distortion(run, "soft"), _distortion(run, "hard")
        return {"probe_mode_gap.score": abs(hard - soft), "probe_mode_gap.soft": soft, "probe_mode_gap.hard": hard}


def _distortion(run: RunView, mode: Mode) -> float:
    total, rows = 0.0, 0
    for batch in run.evaluated():
        step = run.model.infer(run.step(batch, mode))
        total -= float(step.likelihood.log_prob(batch.first).sum(dtype=torch.float64))
        rows += len(batch)
    return total / rows
