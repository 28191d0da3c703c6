"""Reconstruction error: how far what the model makes of an example is from the example.

    mse  mean over examples and values of (x - m)^2
    bce  mean over examples of the sum over values of  -x log m - (1 - x) log(1 - m),  in nats; images only
    ssim mean over examples of the structural similarity of x and m, 1 at the best; images of at least 11 x 11 pixels only

with m the likelihood's mean at the code of `represent` mode. For the Bernoulli likelihood bce is the distortion it trains
on; its least value is the entropy of x, not 0.

Source: Leeb et al. 2023, "Structure by Architecture": bce in figures 2 and 8, 1000 mse in figures 7 and 12; Wang et al.
2004, "Image quality assessment: from error visibility to structural similarity".
Shape letters: B batch.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import nn

from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.layers.ssim import WINDOW, ssim
from aerepr.spec.base import ComponentSpec

# Keeps the cost of a value that float32 rounds to 0 or 1 finite: 16 nats at the most.
_EPS = 1e-7


class ReconstructionSpec(ComponentSpec):
    """Metric `reconstruction`."""


class Reconstruction(Metric):
    """`mse`, and for images `bce` and `ssim`."""

    Spec = ReconstructionSpec
    needs = "run"
    protocol = (
        "the likelihood's mean at the code without noise, data as the model sees it; "
        "mse: a value (an image's are in [0, 1]), bce: nats an image, the sum over its values; "
        "ssim: Gaussian windows of 11 x 11 (deviation 1.5) inside the image, mean over windows and channels"
    )
    lower_is_better = frozenset({"mse", "bce"})

    def __init__(self, spec: ReconstructionSpec) -> None:
        pass

    def compute(self, run: RunView) -> dict[str, float]:
        """The errors of one run on the rows asked about."""
        images = run.info.shape.is_image
        windows = images and min(run.info.shape.sizes[1:]) >= WINDOW
        totals: defaultdict[str, float] = defaultdict(float)
        rows = 0
        for step in run.encoded():
            x = step.batch.first
            mean = run.model.likelihood.mean(run.model.decoder(step.z_BD))
            totals["mse"] += float((x - mean).square().mean(dtype=torch.float64)) * len(x)
            if images:
                logits = mean.double().logit(eps=_EPS)
                cost = nn.functional.binary_cross_entropy_with_logits(logits, x.double(), reduction="sum")
                totals["bce"] += float(cost)
            if windows:
                totals["ssim"] += float(ssim(x, mean).sum())
            rows += len(x)
        return {f"reconstruction.{field}": total / rows for field, total in totals.items()}
