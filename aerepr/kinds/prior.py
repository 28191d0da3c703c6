"""Contract of a prior: p(z), fixed or learned."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.part import Part
from aerepr.kinds.step import Law


class Prior(Part):
    """A distribution over codes, and a pure map from noise to samples of it.

    Attributes:
        noise_dim, noise: width and law of the noise `from_noise` takes.
    """

    noise_dim: int
    noise: Law = "normal"

    @abstractmethod
    def forward(self) -> Distribution:
        """p(z), batch shape (), event shape (D,)."""

    @abstractmethod
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D) from noise (B, noise_dim): tensors in, tensors out, exportable."""

    def to_metric_scale(self, z_BD: Tensor) -> Tensor:
        """Codes on the scale metrics expect; another than the identity where the prior calls for it."""
        return z_BD
