"""Mean entropy of the encodings: how much room each takes up, and so how much they may overlap.

    mean  E_x H[ q(z given x) ], nats, of all dimensions together

The KL's weight beta buys it: beta-VAE is the ELBO under an annealed prior plus (beta - 1) H, so that beta > 1 pays for noise
in the encoder. For an encoder with one mode it gauges overlap, as `mutual_information` does; it depends on the scale of the
codes, and may be negative where they are narrow.

Source: Mathieu et al. 2019, arXiv:1812.02833, section 3.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

import torch

from aerepr.errors import UsageError
from aerepr.kinds.distributions import has_density
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step
from aerepr.spec.base import ComponentSpec


class EncoderEntropySpec(ComponentSpec):
    """Metric `encoder_entropy`."""


class EncoderEntropy(Metric):
    """`encoder_entropy.mean`, which ends in `@mc` where no closed form is known."""

    Spec = EncoderEntropySpec
    needs = "run"
    modes = ("sample",)
    protocol = "mean entropy of the posterior, nats an example; closed form, or (@mc) one seeded sample an example"

    def __init__(self, spec: EncoderEntropySpec) -> None:
        pass

    def compute(self, run: RunView) -> dict[str, float]:
        """The mean of one run over the rows asked about.

        Raises:
            UsageError: the posterior has no density.
        """
        total, rows, end = 0.0, 0, ""
        for step in run.encoded():
            if not has_density(step.posterior):
                raise UsageError(
                    'metric "encoder_entropy" needs a posterior with a density, such as "gaussian", and '
                    f'"{run.spec.model.posterior.name}" has none'
                )
            try:
                entropy_B = step.posterior.entropy()
            except NotImplementedError:
                entropy_B, end = -step.posterior.log_prob(_sampled(run, step)), "@mc"
            total += float(entropy_B.sum(dtype=torch.float64))
            rows += len(step.batch)
        return {f"encoder_entropy.mean{end}": total / rows}


def _sampled(run: RunView, step: Step) -> torch.Tensor:
    posterior = run.model.posterior
    return posterior.draw(step.params_BDK, step.noise("posterior", posterior.noise, posterior.noise_shape), "sample")
