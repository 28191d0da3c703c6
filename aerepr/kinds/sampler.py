"""Contract of a sampler: a pure function from noise to codes."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import Part
from aerepr.kinds.prior import Prior
from aerepr.kinds.step import Law


class Sampler(Part):
    """A module of buffers: fitted once on codes, then noise in, codes out, with no state and no generator.

    Attributes:
        noise_dim, noise: width and law of the noise; known once fitted.
    """

    noise_dim: int
    noise: Law = "uniform"

    @abstractmethod
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        """Set the buffers.

        Args:
            codes_ND: codes of training data in `represent` mode.
            layout: the latent's variables. prior: the model's prior.

        Raises:
            ShapeError: there are too few codes.
        """

    @abstractmethod
    def forward(self, noise_BN: Tensor) -> Tensor:
        """Codes z (B, D) from noise (B, noise_dim); traceable and exportable."""
