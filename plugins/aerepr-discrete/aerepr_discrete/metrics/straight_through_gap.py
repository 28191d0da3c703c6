"""Straight-through gap: how much the objective changes as codes move from the mean position to the likeliest one.

    gap = | mean over x of distortion at hard codes - mean over x of distortion at soft codes |,  no noise

A small gap says that codes lie on the grid, and goes with disentanglement: runs are ranked by it, the lowest first, without
a label. The KL is that of the logits, the same in both modes, so for D-VAE this is the gap of the whole objective. For
FactorDVAE the authors' code adds gamma times the change of the discriminator's estimate; that is left out, since it would
make runs of different gamma incomparable, and as the discriminator is no part of a finished model.

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations", as in the authors' code, which takes 64,000
images of the training stream; here the rows asked about, by default held out.
Shape letters: B batch.
"""

from __future__ import annotations

import torch

from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Mode, Step
from aerepr.spec.base import ComponentSpec


class StraightThroughGapSpec(ComponentSpec):
    """Metric `straight_through_gap`."""


class StraightThroughGap(Metric):
    """`score`, the gap, and the distortions `soft` and `hard` of which it is the difference."""

    Spec = StraightThroughGapSpec
    needs = "run"
    modes = ("soft", "hard")
    supervised = False
    protocol = (
        "|hard - soft|, distortions in nats an example without noise; soft: the mean position, hard: the likeliest; "
        "regularizers left out (the KL is the same in both)"
    )
    lower_is_better = frozenset({"*"})

    def __init__(self, spec: StraightThroughGapSpec) -> None:
        pass

    def compute(self, run: RunView) -> dict[str, float]:
        """The gap of one run over the rows asked about; the lower, the better."""
        soft = hard = 0.0
        rows = 0
        for step in run.encoded():
            soft += _distortion(run, step, "soft")
            hard += _distortion(run, step, "hard")
            rows += len(step.batch)
        found = {"score": abs(hard - soft) / rows, "soft": soft / rows, "hard": hard / rows}
        return {f"straight_through_gap.{field}": value for field, value in found.items()}


def _distortion(run: RunView, step: Step, mode: Mode) -> float:
    """Nats of one encoded batch, summed."""
    model = run.model
    no_noise = step.params_BDK.new_zeros(len(step.batch), *model.posterior.noise_shape)
    z_BD = model.posterior.draw(step.params_BDK, no_noise, mode)
    return -float(model.likelihood(model.decoder(z_BD)).log_prob(step.batch.first).sum(dtype=torch.float64))
