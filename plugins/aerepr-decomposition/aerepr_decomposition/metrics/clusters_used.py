"""Which components of a mixture prior the aggregate posterior uses, and whether it keeps to them.

A code belongs to the component k with the greatest share of its density under the prior, pi_k p_k(z), and is inside it if
log p_k(z) is no less than that of all but 5% of the prior's own draws that belong to k. Of codes drawn from q(z):

    inside    share of codes inside their component; 0.95 where q(z) = p(z)
    fraction  share of components whose codes inside are at least 3/4 of their weight pi_k: components in use
    least     the least, over components, of codes inside over 0.95 pi_k; 1 where q(z) = p(z), 0 where a component is empty

A q(z) that covers the plane without clusters has codes of every component and few inside. 3/4 and not 1/2, because a narrow
ring through the pinwheel's four means has 0.53 to 0.56 of each weight inside, and no clusters.

Source: aerepr's own, of the pictures of the aggregate posterior in Mathieu et al. 2019, arXiv:1812.02833, section 5.
Shape letters: N codes, M draws, C components, D latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import MixtureSameFamily

from aerepr.errors import UsageError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.layers.noise import sample_noise
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed
from aerepr_decomposition.aggregate import drawn

# Share of the prior's own draws that is inside; draws that say where its edge is; share of its weight that makes use of one.
INSIDE, DRAWS, USED = 0.95, 20_000, 0.75


class ClustersUsedSpec(ComponentSpec):
    """Metric `clusters_used`."""

    seed: MetricSeed = 0


class ClustersUsed(Metric):
    """`clusters_used.fraction`, `.inside`, `.least`."""

    Spec = ClustersUsedSpec
    needs = "run"
    modes = ("sample",)
    protocol = (
        f"one code drawn from each row's posterior; a component is used if at least {USED:.0%} of its weight of codes is "
        f"inside it, where {INSIDE:.0%} of its own draws are"
    )

    def __init__(self, spec: ClustersUsedSpec) -> None:
        self.seed = spec.seed

    def compute(self, run: RunView) -> dict[str, float]:
        """Use of the components by the rows asked about.

        Raises:
            UsageError: the prior is no mixture.
        """
        prior = run.model.prior()
        if not isinstance(prior, MixtureSameFamily) or len(prior.event_shape) != 1:
            raise UsageError(
                f'metric "clusters_used" needs a prior that is a mixture of components, such as "gaussian_mixture", and this '
                f'run has "{run.spec.model.prior.name}"'
            )
        noise_MU = sample_noise(DRAWS, run.model.prior.noise_dim, self.seed, run.model.prior.noise)
        weight_C = prior.mixture_distribution.probs
        component_M, height_M = _places(prior, run.model.prior.from_noise(noise_MU.to(weight_C.device)))
        _, z_ND = drawn(run, None)
        component_N, height_N = _places(prior, z_ND)
        inside_C = torch.zeros_like(weight_C)
        for c in range(len(weight_C)):
            own_m = height_M[component_M == c]
            # A component that no draw belongs to has no weight, or lies under another.
            if len(own_m):
                inside_C[c] = (height_N[component_N == c] >= own_m.quantile(1 - INSIDE)).sum() / len(z_ND)
        share_C = (inside_C / weight_C)[weight_C > 0]
        found = {
            "fraction": (share_C >= USED).double().mean(),
            "inside": inside_C.sum(),
            "least": share_C.min() / INSIDE,
        }
        return {f"clusters_used.{field}": float(value) for field, value in found.items()}


def _places(prior: MixtureSameFamily, z_ND: Tensor) -> tuple[Tensor, Tensor]:
    """The component each code belongs to, (N,), and the log density of that component at it, (N,)."""
    height_NC = prior.component_distribution.log_prob(z_ND[:, None])
    component_N = (height_NC + prior.mixture_distribution.logits).argmax(dim=1)
    return component_N, height_NC.gather(1, component_N[:, None])[:, 0]
