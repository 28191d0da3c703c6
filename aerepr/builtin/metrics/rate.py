"""Rate: what the posterior costs over the prior, in all and in each dimension.

    total    R   = mean over x of KL( q(z | x) || p(z) ), nats an example
    kl_d     R_d = mean over x of KL( q(z_d | x) || p(z_d) ), where both factorise; then R = sum_d R_d
    collapsed    number of dimensions with R_d <= 0.01

R_d = I(x; z_d) + KL( q(z_d) || p(z_d) ) bounds what dimension d can tell about x, so that a collapsed one tells next to
nothing.

Source: Kingma and Welling 2014, arXiv:1312.6114 (the KL); Hoffman and Johnson 2016, "ELBO surgery" (what it bounds);
the threshold is that of Duan et al. 2020, arXiv:1905.12614.
Shape letters: B batch, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch.distributions import Distribution, Independent

from aerepr.errors import UsageError
from aerepr.kinds.distributions import has_closed_form, has_density, is_comparable, is_factorised, rate_B
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec

# Nats below which a dimension counts as collapsed.
THRESHOLD = 0.01


class Rate(Metric):
    """`rate.total` and, where posterior and prior factorise, `.collapsed`, `.kl_0`, `.kl_1` ...

    Keys end in `@mc` where no closed form is known and the KL is a Monte-Carlo estimate.
    """

    Spec = ComponentSpec
    needs = "run"
    modes = ("sample",)
    protocol = (
        "mean KL from posterior to prior, nats an example; closed form, or (@mc) one seeded sample an example; a dimension "
        f"has collapsed at {THRESHOLD} nats or less"
    )

    def __init__(self, spec: ComponentSpec) -> None:
        pass

    def compute(self, run: RunView) -> dict[str, float]:
        """The rates of one run over the rows asked about.

        Raises:
            UsageError: the posterior has no density, or none that can be held against the prior's.
        """
        model = run.model
        total, rows, single, end = 0.0, 0, False, ""
        # float64, for a sum over many examples; () until the first batch says how many dimensions there are.
        kl_D = torch.zeros((), dtype=torch.float64)
        for step in run.encoded():
            posterior, prior = step.posterior, step.prior
            self._require_comparable(run, posterior, prior)
            single = is_factorised(posterior) and is_factorised(prior)
            end = "" if has_closed_form(posterior, prior) else "@mc"
            noise = step.noise("posterior", model.posterior.noise, model.posterior.noise_shape)
            z_BD = model.posterior.draw(step.params_BDK, noise, "sample")
            if single:
                kl_BD = rate_B(cast(Independent, posterior).base_dist, cast(Independent, prior).base_dist, z_BD)
                kl_D = kl_D + kl_BD.sum(dim=0, dtype=torch.float64).cpu()
            else:
                total += float(rate_B(posterior, prior, z_BD).sum(dtype=torch.float64))
            rows += len(step.batch)
        if not single:
            return {f"rate.total{end}": total / rows}
        rates = (kl_D / rows).tolist()
        found = {"total": sum(rates), "collapsed": float(sum(value <= THRESHOLD for value in rates))}
        found |= {f"kl_{dimension}": value for dimension, value in enumerate(rates)}
        return {f"rate.{field}{end}": value for field, value in found.items()}

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """Which dimensions have collapsed."""
        rates = {key.partition(".kl_")[2].removesuffix("@mc"): value for key, value in numbers.items() if ".kl_" in key}
        if not rates:
            total = next(iter(numbers.values()))
            return ["the posterior has collapsed: the codes tell next to nothing"] if total <= THRESHOLD else []
        dead = [dimension for dimension, value in rates.items() if value <= THRESHOLD]
        if not dead:
            return []
        if len(dead) == len(rates):
            return [
                f"all {len(rates)} dimensions have collapsed (KL of at most {THRESHOLD} nats each): the codes tell next to "
                "nothing about the data"
            ]
        have = "dimension has" if len(dead) == 1 else "dimensions have"
        return [
            f"{len(dead)} of {len(rates)} {have} collapsed (KL of at most {THRESHOLD} nats), counted from 0: "
            f"{', '.join(dead)}"
        ]

    def _require_comparable(self, run: RunView, posterior: Distribution, prior: Distribution) -> None:
        name, against = run.spec.model.posterior.name, run.spec.model.prior.name
        if not has_density(posterior):
            raise UsageError(
                f'metric "rate" needs a posterior with a density, and "{name}" has none: of its codes ask active_units'
            )
        if not is_comparable(posterior, prior):
            raise UsageError(
                f'metric "rate": posterior "{name}" cannot be held against prior "{against}": one is a mass, the other a '
                "density"
            )
