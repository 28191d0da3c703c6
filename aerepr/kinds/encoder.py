"""Contract of an encoder: data to the numbers that parameterise the posterior."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from aerepr.kinds.part import Part


class Encoder(Part):
    """x to `params_BDK`; built with `ctx.data.shape`, `ctx.latent_dim`, `ctx.K` and `ctx.layout`."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Posterior parameters.

        Args:
            x: (B, *shape), images in [0, 1].

        Returns:
            (B, D, K), unconstrained.
        """
