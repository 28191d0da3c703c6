"""Disentanglement metrics on plain arrays: `from aerepr.metrics import mig`.

Most take codes (rows, dimensions) and ground-truth factors (rows, factors), from any framework; `active_units`,
`independence`, `latent_responses`, `total_correlation` and `udr` need no factors. Each gives a small object of named numbers.
Nothing is imported before it is used; PyTorch never is.

    >>> from aerepr.metrics import mig
    >>> mig(codes, factors).score  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aerepr.builtin.metrics.active_units import active_units
    from aerepr.builtin.metrics.beta_vae import beta_vae, beta_vae_generative
    from aerepr.builtin.metrics.dci import dci
    from aerepr.builtin.metrics.dci_lgbm import dci_lgbm
    from aerepr.builtin.metrics.explicitness import explicitness
    from aerepr.builtin.metrics.factor_vae import factor_vae, factor_vae_generative
    from aerepr.builtin.metrics.independence import independence
    from aerepr.builtin.metrics.irs import irs
    from aerepr.builtin.metrics.latent_responses import latent_responses
    from aerepr.builtin.metrics.mig import mig
    from aerepr.builtin.metrics.modularity import modularity
    from aerepr.builtin.metrics.sap import sap
    from aerepr.builtin.metrics.sap_continuous import sap_continuous
    from aerepr.builtin.metrics.total_correlation import total_correlation
    from aerepr.builtin.metrics.udr import udr

__all__ = [
    "active_units",
    "beta_vae",
    "beta_vae_generative",
    "dci",
    "dci_lgbm",
    "explicitness",
    "factor_vae",
    "factor_vae_generative",
    "independence",
    "irs",
    "latent_responses",
    "mig",
    "modularity",
    "sap",
    "sap_continuous",
    "total_correlation",
    "udr",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"aerepr.builtin.metrics.{name.removesuffix('_generative')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
