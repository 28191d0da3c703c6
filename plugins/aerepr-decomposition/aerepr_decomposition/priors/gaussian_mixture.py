"""Mixture of normals with one diagonal covariance: clusters of the latent space.

    p(z) = sum_c pi_c N(z; m_c, diag(s^2)),    s_d^2 = v D softmax(w)_d

The density is joint, a sum over clusters of products over dimensions: the dimensions are not independent. The defaults are
those of the pinwheel: four clusters around the origin in two dimensions, v = 0.03.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code.
Shape letters: B batch, C clusters, D latent dimensions, N noise (one, and one a dimension).
"""

from __future__ import annotations

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from aerepr.errors import ShapeError
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.step import Law
from aerepr.layers.noise import to_normal
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.scales import Scales


class GaussianMixtureSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "gaussian_mixture"`."""

    means: list[list[float]] = Field(
        [[0.0, -1.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]],
        min_length=1,
        description="the clusters' means, a number for each latent dimension",
    )
    weights: list[PositiveFloat] | None = Field(
        None, description="the clusters' probabilities, which sum to 1; left out: equal"
    )
    variance: PositiveFloat = Field(0.03, description="v, mean variance of the dimensions of a cluster")
    learned: bool = Field(False, description="whether the proportions of the variances learn, one for each dimension")

    @model_validator(mode="after")
    def _weights_are_probabilities(self) -> GaussianMixtureSpec:
        if self.weights is not None and len(self.weights) != len(self.means):
            raise ValueError(f"{len(self.weights)} weights for {len(self.means)} means: give a weight for each")
        if self.weights is not None and abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(f"weights sum to {sum(self.weights):.6g}, expected 1")
        return self


class GaussianMixture(Prior):
    """Normal clusters.

    Attributes:
        means_CD, weights_C: of the clusters. edge_C: where the cluster after each begins, on the interval of the noise.
        scales: their standard deviations (D,), as a module.
    """

    Spec = GaussianMixtureSpec
    noise: Law = "uniform"
    means_CD: Tensor
    weights_C: Tensor
    edge_C: Tensor

    def __init__(self, spec: GaussianMixtureSpec, ctx: BuildContext) -> None:
        super().__init__()
        D = ctx.latent_dim
        for mean in spec.means:
            if len(mean) != D:
                raise ShapeError(
                    f"a mean has {len(mean)} numbers and the latent {D} dimensions: give a number for each, or set "
                    f"model.latent_dim = {len(mean)}"
                )
        self.noise_dim = 1 + D
        weights = spec.weights or [1 / len(spec.means)] * len(spec.means)
        self.register_buffer("means_CD", torch.tensor(spec.means))
        self.register_buffer("weights_C", torch.tensor(weights))
        # No uniform reaches the last edge, whatever the rounding of the sum.
        edges = [sum(weights[: c + 1]) for c in range(len(weights) - 1)]
        self.register_buffer("edge_C", torch.tensor([*edges, 2.0]))
        self.scales = Scales(spec.variance, D, spec.learned)

    def forward(self) -> Distribution:
        """The mixture, batch shape (), event shape (D,)."""
        clusters = Independent(Normal(self.means_CD, self.scales(), validate_args=False), 1, validate_args=False)
        return MixtureSameFamily(Categorical(self.weights_C, validate_args=False), clusters, validate_args=False)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D): the first number chooses the cluster, the others the place in it."""
        cluster_B = (noise_BN[:, :1] >= self.edge_C).sum(dim=1)
        scale_D: Tensor = self.scales()
        return self.means_CD[cluster_B] + scale_D * to_normal(noise_BN[:, 1:])
