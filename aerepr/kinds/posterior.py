"""Contract of a posterior: q(z given x), from the encoder's numbers."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.part import Part
from aerepr.kinds.step import Law, Mode


class Posterior(Part):
    """Parameters to a distribution, and to codes.

    Attributes:
        K: numbers the encoder gives for each latent dimension.
        modes: what `draw` understands; `sample` and `represent` always.
        noise, noise_shape: law and shape (of one example) of the noise `draw` takes.
    """

    K: int = 1
    modes: ClassVar[tuple[Mode, ...]] = ("sample", "represent")
    noise: Law = "normal"
    noise_shape: tuple[int, ...] = ()

    @abstractmethod
    def forward(self, params_BDK: Tensor) -> Distribution:
        """q(z given x), batch shape (B,), event shape (D,)."""

    @abstractmethod
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """Codes from parameters and noise; the same arguments give the same codes.

        Args:
            params_BDK: the encoder's output.
            noise: (B, *noise_shape) of the law `self.noise`; ignored by deterministic modes.
            mode: `sample` is reparameterised; `represent` is the deterministic code that metrics and banks use.

        Returns:
            z, (B, D).
        """
