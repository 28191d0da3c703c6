"""The aggregate posterior q(z) = mean over N examples of q(z given x), as a density; and codes drawn from it.

Shape letters: N examples, M codes, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution

from aerepr.errors import UsageError
from aerepr.kinds.distributions import has_density
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step

# Codes times examples times dimensions worked on at a time.
_BLOCK = 1 << 22


def log_aggregate(posterior: Distribution, z_MD: Tensor) -> Tensor:
    """log q(z) of each code, (M,).

    Args:
        posterior: q(z given x), batch shape (N,), event shape (D,).
    """
    count = posterior.batch_shape[0]
    block = max(1, _BLOCK // (count * z_MD.shape[1]))
    sums = [posterior.log_prob(z_mD[:, None]).logsumexp(dim=1) for z_mD in z_MD.split(block)]
    return torch.cat(sums) - math.log(count)


def drawn(run: RunView, rows: int | None) -> tuple[Tensor, Tensor]:
    """What a run's encoder says of the first rows asked about (None: all).

    Returns:
        Parameters (N, D, K), and one code (N, D) drawn from each example's posterior, by the run's own noise.
    """
    posterior = run.model.posterior
    params, codes = [], []
    for step in first(run, rows):
        noise = step.noise("posterior", posterior.noise, posterior.noise_shape)
        params.append(step.params_BDK)
        codes.append(posterior.draw(step.params_BDK, noise, "sample"))
    # A batch may be cut short: its noise and all else belong to its rows, so that a cut leaves the rest as it was.
    return torch.cat(params)[:rows], torch.cat(codes)[:rows]


def first(run: RunView, rows: int | None) -> Iterator[Step]:
    """Encoded batches that hold so many rows, the last of them perhaps more."""
    seen = 0
    for step in run.encoded():
        yield step
        seen += len(step.batch)
        if rows is not None and seen >= rows:
            return


def require_density(run: RunView, posterior: Distribution, metric: str) -> None:
    """Refuse codes that are drawn from no density.

    Raises:
        UsageError: the posterior is deterministic, or has a mass.
    """
    name = run.spec.model.posterior.name
    needs = f'metric "{metric}" needs a posterior with a density, such as "gaussian"'
    if not has_density(posterior):
        raise UsageError(f'{needs}, and "{name}" has none')
    if getattr(posterior.support, "is_discrete", False):
        raise UsageError(f'{needs}, and "{name}" has a mass')


def require_prior_density(run: RunView, prior: Distribution, metric: str) -> None:
    """Refuse a prior that codes of a density cannot be held against.

    Raises:
        UsageError: it has no density.
    """
    if not has_density(prior) or getattr(prior.support, "is_discrete", False):
        name = run.spec.model.prior.name
        raise UsageError(
            f'metric "{metric}" needs a prior with a density, such as "standard_normal", and "{name}" has none'
        )
