"""Scalar fields of (z, t), one for each of K transformations: u^k(z, t) = sum_h a_kh tanh(W_kh z + w_kh t + b_kh).

The gradient in z is sum_h a_kh (1 - tanh^2) W_kh, written out in `FlowStep` so that the step exports without autograd.

Source: Song et al. 2023, arXiv:2309.13167, with one hidden layer instead of three.
Shape letters: B batch, D latent dimensions, K transformations, H hidden units,
N = K H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Fields(nn.Module):
    """K scalar functions of a code and a time.

    Args:
        count: K. latent_dim: D. width: hidden units of each.
    """

    def __init__(self, count: int, latent_dim: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent_dim + 1, count * width)
        self.heights_KH = nn.Parameter(torch.randn(count, width) / width**0.5)

    def activations(self, z_BD: Tensor, t_B: Tensor) -> Tensor:
        """The hidden layer, (B, K, H)."""
        inputs = torch.cat([z_BD, t_B.unsqueeze(-1)], dim=-1)
        return torch.tanh(self.hidden(inputs)).unflatten(-1, self.heights_KH.shape)

    def forward(self, z_BD: Tensor, t_B: Tensor) -> Tensor:
        """The values of all K fields, (B, K)."""
        return (self.heights_KH * self.activations(z_BD, t_B)).sum(dim=-1)


class FlowStep(nn.Module):
    """One step of the code along the gradient of a mixture of potentials.

    Args:
        potential: the fields; shared, not copied.
    """

    def __init__(self, potential: Fields) -> None:
        super().__init__()
        self.potential = potential

    # The names of the arguments become the names of an exported file's inputs, so they do without their shapes.
    def forward(self, z: Tensor, t: Tensor, mixture: Tensor) -> Tensor:
        """The next code.

        Args:
            z: codes, (B, D). t: step numbers, from 1, (B,).
            mixture: weights of the transformations, (B, K): one-hot for one of them, sums superpose them.

        Returns:
            (B, D).
        """
        slope_BKH = self.potential.heights_KH * (1 - self.potential.activations(z, t).square())
        weights_ND = self.potential.hidden.weight[:, :-1]
        return z + (mixture.unsqueeze(-1) * slope_BKH).flatten(1) @ weights_ND
