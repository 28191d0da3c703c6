"""Drawing from a run: noise of a seed, through a sampler to codes, through the decoder to examples.

Nothing here reads or moves the global generator: a seed, a sampler and a model give the same examples everywhere.

Shape letters: N examples, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.sampler import Sampler
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec
from aerepr.spec.base import ComponentSpec

# Codes decoded at once, so that memory does not grow with what is asked for.
BATCH = 64


@dataclass(frozen=True)
class Drawn:
    """Noise (N, noise_dim), the codes z (N, D) it became, and the decoded values (N, *shape) in data units."""

    noise: Tensor
    z: Tensor
    values: Tensor


def draw(view: View, n: int, seed: int, sampler: Sampler) -> Drawn:
    """Draw and decode n examples.

    Args:
        n: 1 or more. The noise and codes of the first k of n are those of k; decoded values agree within rounding.
        seed: 0 or more, below 2^63.
        sampler: fitted; the run's own is `view.sampler`.

    Raises:
        UsageError: n or seed is out of range.
    """
    check_draw(n, seed)
    noise = sample_noise(n, sampler.noise_dim, seed, sampler.noise)
    with torch.no_grad():
        z_ND = sampler(noise)
    return Drawn(noise, z_ND, decode(view, z_ND))


def check_draw(n: int, seed: int) -> None:
    """Refuse a number of samples or a seed that cannot be meant.

    Raises:
        UsageError: n is below 1, or the seed is negative or beyond 63 bits.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"n: expected a whole number of samples, 1 or more, got {n!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected a whole number from 0 to 2^63 - 1, got {seed!r}")


def decode(view: View, z_ND: Tensor) -> Tensor:
    """Decoded examples (N, *shape) in data units, a batch at a time."""
    with torch.no_grad():
        parts = [view.model.decode(z_BD.to(view.device)).cpu() for z_BD in z_ND.split(BATCH) if len(z_BD)]
    return torch.cat(parts) if parts else torch.zeros(0, *view.info.shape.sizes)


def encode(view: View, x: Tensor) -> Tensor:
    """Codes (N, D) of examples (N, *shape) in data units, in `represent` mode, a batch at a time."""
    with torch.no_grad():
        parts = [view.model.encode(part.to(view.device)).cpu() for part in x.split(BATCH) if len(part)]
    return torch.cat(parts) if parts else torch.zeros(0, view.layout.latent_dim)


def choose_sampler(
    view: View, name: str | None, settings: Mapping[str, Any], registry: Registry
) -> tuple[ComponentSpec, Sampler]:
    """The sampler asked for: the run's own, or another fitted to the run's codes.

    Args:
        name: None: the run's own. settings: fields that differ from the run's own sampler, if it is of that name, else
            from the defaults.

    Raises:
        UnknownComponent: no sampler of that name. SpecError: a setting is wrong.
        UsageError: the prior is asked of a model that was not trained towards it.
        ShapeError: the sampler refuses the sizes, or the number of codes.
    """
    own = view.spec.sampler
    if not settings and name in (None, own.name):
        _refuse_untrained_prior(view, own.name)
        return own, view.sampler
    spec = component_spec(registry, "sampler", name or own.name, settings, base=own)
    _refuse_untrained_prior(view, spec.name)
    return spec, view.fitted(spec)


def _refuse_untrained_prior(view: View, name: str) -> None:
    if name == "prior" and not view.trained_to_prior:
        raise UsageError(
            f'sampler "prior": this model was not trained towards a prior: its posterior '
            f'("{view.spec.model.posterior.name}") is deterministic and it has no regularizers, so codes of its prior '
            'mean nothing to the decoder: use "hybrid"'
        )
