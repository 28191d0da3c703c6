"""Ordered categorical posterior: each latent dimension takes one of K positions on [-1, 1], relaxed in training.

    z_i = sum_k softmax(l_i + s g_i)_k e_k,  with logits l from the encoder, Gumbel noise g and fixed positions e

What is annealed is the scale s of the noise, upwards; the temperature is 1. The KL is that of softmax(l), without noise.

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations", as in the authors' code.
Shape letters: B batch, D latent dimensions, K positions.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution, Independent

from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.step import Law, Mode
from aerepr.spec.base import ComponentSpec, Schedulable
from aerepr_discrete.ordered import OrderedCategorical, grid


class OrderedCategoricalSpec(ComponentSpec):
    """Table `[model.posterior]` with `name = "ordered_categorical"`."""

    categories: int = Field(64, ge=2, description="K, positions of each latent dimension")
    noise_scale: Schedulable = Field(1.0, ge=0, description="factor of the Gumbel noise; 1 is the Gumbel softmax")


class OrderedCategoricalPosterior(Posterior):
    """Logits of K ordered positions a dimension; the code is a position, or a mean of positions."""

    Spec = OrderedCategoricalSpec
    modes = ("sample", "represent", "soft", "hard")
    noise: Law = "uniform"
    positions_K: Tensor
    noise_scale: Tensor

    def __init__(self, spec: OrderedCategoricalSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.K = spec.categories
        self.noise_shape = (ctx.latent_dim, spec.categories)
        # Buffers: no optimizer, decay or average may move the positions.
        self.register_buffer("positions_K", grid(spec.categories))
        self.register_buffer("noise_scale", torch.tensor(spec.noise_scale))

    def forward(self, params_BDK: Tensor) -> Distribution:
        """The unrelaxed categorical, batch shape (B,), event shape (D,)."""
        return Independent(OrderedCategorical(params_BDK, self.positions_K), 1, validate_args=False)

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        """Codes in [-1, 1], (B, D).

        Args:
            params_BDK: logits.
            noise: uniform (B, D, K), used by `sample` alone.
            mode: `represent` and `soft` are the mean position, `hard` the likeliest with the gradient of the mean.
        """
        logits_BDK = params_BDK
        if mode == "sample":
            logits_BDK = logits_BDK - self.noise_scale * torch.log(-torch.log(noise))
        mean_BD = OrderedCategorical(logits_BDK, self.positions_K).mean
        if mode == "hard":
            return self.positions_K[params_BDK.argmax(dim=-1)] + (mean_BD - mean_BD.detach())
        return mean_BD
