"""Contract of a likelihood: p(x given z), from the decoder's numbers."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.part import Part


class Likelihood(Part):
    """Raw decoder output to a distribution over x.

    Attributes:
        P: numbers the decoder gives for each value.
    """

    P: int = 1

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """p(x given z) with batch shape (B,) and the data's shape as event shape; distortion is `-log_prob(x)`."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """The decoded example (B, *shape), images in [0, 1]. This is what is shown, scored and exported."""
