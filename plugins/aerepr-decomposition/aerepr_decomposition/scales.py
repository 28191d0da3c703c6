"""Standard deviations of the latent dimensions whose mean variance is fixed, and where their proportions come from.

    s_d^2 = v D softmax(w)_d,    so that mean_d s_d^2 = v whatever w is

Learning w changes the shape of a prior and never its total scale.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code.
Shape letters: D latent dimensions, N examples, F values of an example.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

# Values of an example worked on at a time in double precision.
_VALUES = 4096


class Scales(nn.Module):
    """s, (D,).

    Args:
        variance: v. D: how many; they start equal. learned: whether w learns.
    """

    log_variance_D: Tensor

    def __init__(self, variance: float, D: int, learned: bool) -> None:
        super().__init__()
        self.root = sqrt(variance * D)
        start_D = torch.zeros(D)
        if learned:
            self.log_variance_D = nn.Parameter(start_D)
        else:
            self.register_buffer("log_variance_D", start_D)

    def start(self, variance_D: Tensor) -> None:
        """Take on the proportions of these variances, each positive."""
        with torch.no_grad():
            self.log_variance_D.copy_(variance_D.log())

    def forward(self) -> Tensor:
        """Standard deviations (D,), positive."""
        return self.root * (0.5 * torch.log_softmax(self.log_variance_D, dim=0)).exp()


def spectrum(x_NF: Tensor, count: int) -> Tensor:
    """Squared singular values of a matrix, the largest `count` in falling order, float64."""
    wide = x_NF if len(x_NF) <= x_NF.shape[1] else x_NF.T
    # Those of a wide matrix are the eigenvalues of its products of rows, of which there are few.
    gram_NN = torch.zeros(len(wide), len(wide), dtype=torch.float64)
    for part in wide.split(_VALUES, dim=1):
        part = part.to(torch.float64)
        gram_NN.addmm_(part, part.T)
    return torch.linalg.eigvalsh(gram_NN).flip(0)[:count]
