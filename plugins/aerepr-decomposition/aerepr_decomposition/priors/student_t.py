"""Student-t prior: the same heavy-tailed t of nu degrees of freedom in each dimension, which singles out the axes.

    p(z) = prod_d t_nu(z_d / s) / s;    nu -> infinity is N(0, s^2 I)

A product of t's is not a t of the whole vector: rotated, it is another density. A sample comes from two uniforms a
dimension by the polar method, exact for every nu:

    z = s sqrt(nu (u^(-2/nu) - 1)) cos(2 pi v)

Metrics see the codes on the scale of a normal, Phi^-1(F_nu(z / s)), a map of each dimension that keeps their order.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code; Bailey
1994, "Polar generation of random variates with the t-distribution".
Shape letters: B batch, D latent dimensions, N noise (two a dimension).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.distributions import Chi2, Distribution, Independent, constraints
from torch.distributions.constraints import Constraint

from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.step import Law
from aerepr.spec.base import ComponentSpec

# Below this a tail is computed by its logarithm: a probability in float64 ends at 1e-308.
_LEAST_TAIL = 1e-290

# Terms of the continued fraction of such a tail, at most; tens do.
_TERMS = 10_000

# exp(2 * 43) is about the largest that float32 holds; only nu below 0.39 comes near it.
_LARGEST = 43.0

Shape = torch.Size | list[int] | tuple[int, ...]


class StudentTSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "student_t"`."""

    df: PositiveFloat = Field(2.0, description="nu, degrees of freedom")
    scale: PositiveFloat = Field(1.0, description="s, scale of every dimension")


class FixedT(Distribution):
    """t_nu with a fixed nu, batch shape that of the scale. `torch.distributions.StudentT` reads nu back from the device to check
    it, cannot be made on the meta device, and has its constant to single precision: 0.004 nats off at nu = 10^4.
    """

    arg_constraints: dict[str, Constraint] = {}
    support = constraints.real

    def __init__(self, df: float, scale: Tensor) -> None:
        self.df = df
        self.scale = scale
        super().__init__(scale.shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> FixedT:
        return FixedT(self.df, self.scale.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        return torch.full_like(self.scale, 0.0 if self.df > 1 else math.nan)

    @property
    def variance(self) -> Tensor:
        if self.df > 2:
            return self.scale.square() * self.df / (self.df - 2)
        return torch.full_like(self.scale, math.inf if self.df > 1 else math.nan)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, of the batch shape."""
        half = self.df / 2
        constant = math.lgamma(half + 0.5) - math.lgamma(half) - 0.5 * math.log(math.pi * self.df)
        return constant - self.scale.log() - (half + 0.5) * torch.log1p((value / self.scale).square() / self.df)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """A normal over the root of a chi-square's mean: another way than `from_noise` has."""
        with torch.no_grad():
            normal = torch.randn(*sample_shape, *self.scale.shape, device=self.scale.device)
            chi2 = Chi2(torch.full_like(normal, self.df), validate_args=False).sample()
            return self.scale * normal * (self.df / chi2).sqrt()


class StudentT(Prior):
    """Independent t's, nothing learned."""

    Spec = StudentTSpec
    noise: Law = "uniform"
    scale_D: Tensor

    def __init__(self, spec: StudentTSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.df = spec.df
        self.latent_dim = ctx.latent_dim
        self.noise_dim = 2 * ctx.latent_dim
        self.register_buffer("scale_D", torch.full((ctx.latent_dim,), spec.scale))

    def forward(self) -> Distribution:
        """prod_d t_nu, batch shape (), event shape (D,)."""
        return Independent(FixedT(self.df, self.scale_D), 1, validate_args=False)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D) from uniform noise: radii, then angles."""
        u_BD, v_BD = noise_BN[:, : self.latent_dim], noise_BN[:, self.latent_dim :]
        # u^(-2/nu) - 1 as 2 sinh(h) exp(h), h = -log(u) / nu: no digit is lost where nu is large or u near 1.
        half_BD = (-torch.log(u_BD) / self.df).clamp(max=_LARGEST)
        radius_BD = torch.sqrt(2 * self.df * torch.sinh(half_BD) * torch.exp(half_BD))
        return self.scale_D * radius_BD * torch.cos(2 * math.pi * v_BD)

    def to_metric_scale(self, z_BD: Tensor) -> Tensor:
        """Phi^-1(F_nu(z / s)) of each number: standard normal where the codes follow the prior."""
        t_BD = (z_BD.detach() / self.scale_D).cpu().numpy().astype(np.float64)
        return torch.from_numpy(normal_score(t_BD, self.df)).to(z_BD)


def normal_score(t: npt.NDArray[np.float64], df: float) -> npt.NDArray[np.float64]:
    """The numbers as far out in a standard normal as these are in t_nu; finite for all that are.

    Args:
        t: any shape. df: nu.
    """
    from scipy import special

    # Of the lower tail, where floating point has digits to spare; the upper one mirrors it.
    far = np.abs(t)
    tail = special.stdtr(df, -far)
    score = special.ndtri(np.maximum(tail, _LEAST_TAIL))
    out = tail < _LEAST_TAIL
    if out.any():
        score[out] = special.ndtri_exp(_log_tail(far[out], df))
    return np.copysign(score, t)


def _log_tail(far: npt.NDArray[np.float64], df: float) -> npt.NDArray[np.float64]:
    """log P(T > far), far out: half the incomplete beta function of x = nu / (nu + far^2) at nu / 2 and 1 / 2.

    As its continued fraction (Abramowitz and Stegun 26.5.8) by Lentz's method: SciPy's power series fails where nu is large.
    """
    from scipy import special

    a, b = df / 2, 0.5
    log_x = -np.logaddexp(0, 2 * np.log(far) - np.log(df))
    x = np.exp(log_x)
    up = 1 / (1 - (a + b) * x / (a + 1))
    fraction, down = up, np.ones_like(x)
    for m in range(1, _TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            up, down = 1 / (1 + numerator * up), 1 + numerator / down
            fraction = fraction * up * down
        if np.abs(up * down - 1).max() < 1e-15:
            break
    return np.asarray(
        a * log_x + b * np.log1p(-x) - np.log(2 * a) - special.betaln(a, b) + np.log(fraction), np.float64
    )
