"""Contract of a decoder: codes to the numbers of a likelihood, and the layout of the latent."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import Part


class Decoder(Part):
    """z to `raw`; declares which latent dimensions enter together.

    Attributes:
        layout: set by the time `__init__` returns.
    """

    layout: LatentLayout

    @abstractmethod
    def forward(self, z_BD: Tensor) -> Tensor:
        """Likelihood numbers.

        Args:
            z_BD: codes.

        Returns:
            (B, P*C, H, W) for images, (B, P*F) for vectors; unconstrained.
        """
