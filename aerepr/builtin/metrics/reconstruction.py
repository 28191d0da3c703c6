"""Reconstruction error: how far what the model makes of an example is from the example.

    mse  mean over examples and values of (x - m)^2
    bce  mean over examples of the sum over values of  -x log m - (1 - x) log(1 - m),  in nats; images only

with m the likelihood's mean at the code of `represent` mode. For the Bernoulli likelihood bce is the distortion it trains
on; its least value is the entropy of x, not 0.

Source: Leeb et al. 2023, "Structure by Architecture": bce in figures 2 and 8, 1000 mse in figures 7 and 12.
Shape letters: B batch.
"""

from __future__ import annotations

import torch
from torch import nn

from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec

# Keeps the cost of a value that float32 rounds to 0 or 1 finite: 16 nats at the most.
_EPS = 1e-7


class ReconstructionSpec(ComponentSpec):
    """Metric `reconstruction`."""


class Reconstruction(Metric):
    """`mse`, and for images `bce`."""

    Spec = ReconstructionSpec
    needs = "run"
    protocol = (
        "the likelihood's mean at the code without noise, data as the model sees it; "
        "mse: a value (an image's are in [0, 1]), bce: nats an image, the sum over its values"
    )

    def __init__(self, spec: ReconstructionSpec) -> None:
        pass

    def compute(self, run: RunView) -> dict[str, float]:
        """The errors of one run on the rows asked about."""
        squares, costs, rows = 0.0, 0.0, 0
        for batch in run.evaluated():
            x = batch.first
            mean = run.model.likelihood.mean(run.model.decoder(run.model.represent(batch)))
            squares += float((x - mean).square().mean(dtype=torch.float64)) * len(x)
            if run.info.shape.is_image:
                logits = mean.double().logit(eps=_EPS)
                cost = nn.functional.binary_cross_entropy_with_logits(logits, x.double(), reduction="sum")
                costs += float(cost)
            rows += len(x)
        found = {"reconstruction.mse": squares / rows}
        return found | {"reconstruction.bce": costs / rows} if run.info.shape.is_image else found
