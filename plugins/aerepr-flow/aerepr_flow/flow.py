"""Motion of a code along the gradient of a mixture of potentials: z' = z + sum_k w_k grad_z u^k(z, t).

One-hot weights are one transformation, any others superpose several. Backwards is z - velocity at the same counted-up t.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167.
Shape letters: B batch, D latent dimensions, K transformations, M networks in use (K, or 1).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aerepr_flow.fields import Fields


class Flow(nn.Module):
    """K potentials, and one Euler step of unit length along them.

    Args:
        count: K. latent_dim: D, even.

    Raises:
        ShapeError: D is odd.
    """

    def __init__(self, count: int, latent_dim: int) -> None:
        super().__init__()
        self.count, self.latent_dim = count, latent_dim
        self.potential = Fields(count, latent_dim)

    def velocity(self, z_BD: Tensor, t_B: Tensor, weights_BK: Tensor) -> Tensor:
        """sum_k w_k grad_z u^k(z, t), (B, D). It needs no autograd, and can be differentiated itself.

        Args:
            z_BD: codes. t_B: the step each is about to make, from 1; one number serves all, as a tensor of one.
            weights_BK: of the transformations.
        """
        networks = self.potential.networks()
        return mixed(networks.at(z_BD, networks.shift(t_B)).gradient_MBD, weights_BK.mT)

    # The names of the arguments become the names of an exported file's inputs, so they do without their shapes.
    def forward(self, z: Tensor, t: Tensor, weights: Tensor) -> Tensor:
        """The next code.

        Args:
            z: codes, (B, D). t: number of the step, from 1, (B,). weights: of the transformations, (B, K).

        Returns:
            (B, D).
        """
        return z + self.velocity(z, t, weights)


class Mixture(NamedTuple):
    """Which networks a batch uses, and how much of each moves each code.

    Attributes:
        weights_MB: of the networks in use. index_M: which they are, on the device; None: all K.
    """

    weights_MB: Tensor
    index_M: Tensor | None = None

    @classmethod
    def of_labels(cls, label_B: Tensor, count: int) -> Mixture:
        """One transformation for each code.

        A label that is one number expanded to the batch, as a view that draws one transformation a batch makes it, says by
        its stride that all rows share it, without a question to the device: then one network is read and not K. Rows with
        transformations of their own use all K, as one product each: weights gathered for every row would be B matrices.
        """
        if label_B.stride(0) == 0:
            return cls(torch.ones(1, len(label_B), device=label_B.device), label_B[:1])
        return cls(F.one_hot(label_B, count).mT.to(torch.get_default_dtype()))


def mixed(fields: Tensor, weights_MB: Tensor) -> Tensor:
    """sum_m w_m f_m of fields (M, B, ...): (B, ...)."""
    for _ in range(fields.dim() - 2):
        weights_MB = weights_MB.unsqueeze(-1)
    return (weights_MB * fields).sum(dim=0)
