"""Anisotropic normal prior N(0, diag(s^2)): dimensions of unequal variance, which breaks the freedom to rotate the latent.

    s_d^2 = v D softmax(w)_d;  w from the data: log of its squared singular values

The mean variance is v whatever w is. The spectrum is that of the training images as rows of a matrix, uncentred as in the
paper, so that its first value is mostly the mean image's. `legacy_ascending` is the spectrum of the authors' routine: it
takes the 20 largest values from a library that gives them in rising order, and of those the first D, which for D = 10 are
the 20th to the 11th largest and much flatter than meant.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code.
Shape letters: B batch, D latent dimensions, N noise (one a dimension) or examples, F values of an example.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torch.distributions import Distribution

from aerepr.errors import ShapeError
from aerepr.kinds.dataset import TrainingData
from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.scales import Scales, spectrum

# Values that the authors' routine asks its library for.
_LEGACY_VALUES = 20

# A direction with less than this share of the largest variance is none: its value is rounding.
_LEAST = 1e-10


class AnisotropicGaussianSpec(ComponentSpec):
    """Table `[model.prior]` with `name = "anisotropic_gaussian"`."""

    spectrum: Literal["pca", "equal", "legacy_ascending"] = Field(
        "pca",
        description="in which proportions variances start: those of the data's squared singular values, the largest first; "
        "equal; or as the authors' routine orders them",
    )
    scales: list[PositiveFloat] | None = Field(
        None, description="standard deviations instead of a spectrum, a number for each dimension"
    )
    variance: PositiveFloat | None = Field(
        None, description="v, mean variance of the dimensions; left out: 1, or that of scales"
    )
    learned: bool = Field(False, description="whether the proportions go on learning; the mean variance stays")
    centred: bool = Field(False, description="whether the mean image is subtracted before the spectrum is taken")
    examples: PositiveInt = Field(
        4096, description="training examples, chosen at random, whose spectrum is taken; all, if fewer"
    )

    @model_validator(mode="after")
    def _scales_say_all(self) -> AnisotropicGaussianSpec:
        if self.scales is not None and (self.variance is not None or self.spectrum != "pca"):
            raise ValueError("scales say what the variances are: leave variance and spectrum out")
        return self


class AnisotropicGaussian(Prior):
    """A normal whose dimensions differ in variance; its noise, scaled, is its sample."""

    Spec = AnisotropicGaussianSpec
    noise = "normal"

    def __init__(self, spec: AnisotropicGaussianSpec, ctx: BuildContext) -> None:
        super().__init__()
        D = self.noise_dim = ctx.latent_dim
        self.spec = spec
        variance = 1.0 if spec.variance is None else spec.variance
        self.from_data = spec.scales is None and spec.spectrum != "equal"
        if spec.scales is not None:
            if len(spec.scales) != D:
                raise ShapeError(f"scales has {len(spec.scales)} numbers and the latent {D} dimensions: give as many")
            variance = sum(scale**2 for scale in spec.scales) / D
        if self.from_data:
            self._require_values(min(spec.examples, ctx.data.train_size), ctx.data.shape.values)
        self.scales = Scales(variance, D, spec.learned)
        if spec.scales is not None:
            self.scales.start(torch.tensor(spec.scales).square())

    def setup(self, data: TrainingData) -> None:
        """Take the spectrum of the training data, where the spec says so.

        Raises:
            ShapeError: there are too few examples for as many singular values, or they span too few dimensions.
        """
        if not self.from_data:
            return
        # Once, and on the host: the same numbers whatever trains.
        x_NF = data.examples(self.spec.examples).flatten(1).cpu()
        self._require_values(*x_NF.shape)
        if self.spec.centred:
            x_NF = x_NF - x_NF.mean(dim=0)
        legacy = self.spec.spectrum == "legacy_ascending"
        variance_D = spectrum(x_NF, _LEGACY_VALUES if legacy else self.noise_dim)
        if legacy:
            variance_D = variance_D.flip(0)[: self.noise_dim]
        spanned = int((variance_D > _LEAST * variance_D.max()).sum())
        if spanned < self.noise_dim:
            raise ShapeError(
                f"anisotropic_gaussian: the training examples span {spanned} of the {self.noise_dim} dimensions asked for: "
                "lower model.latent_dim, or give the scales as numbers"
            )
        self.scales.start(variance_D)

    def forward(self) -> Distribution:
        """N(0, diag(s^2)), batch shape (), event shape (D,)."""
        scale_D = self.scales()
        return independent_normal(torch.zeros_like(scale_D), scale_D)

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        """Samples z (B, D): the noise, scaled."""
        scale_D: Tensor = self.scales()
        return noise_BN * scale_D

    def _require_values(self, examples: int, values: int) -> None:
        needed = _LEGACY_VALUES + 1 if self.spec.spectrum == "legacy_ascending" else self.noise_dim
        if self.spec.spectrum == "legacy_ascending" and self.noise_dim > _LEGACY_VALUES:
            raise ShapeError(
                f"legacy_ascending has {_LEGACY_VALUES} singular values and the latent {self.noise_dim} dimensions: lower "
                'model.latent_dim, or use spectrum = "pca"'
            )
        # The mean that is subtracted takes one direction with it.
        found = min(examples - self.spec.centred, values)
        if found < needed:
            raise ShapeError(
                f"the principal components of {examples} examples of {values} values are {max(found, 0)}, expected {needed} "
                "or more: use more examples, a smaller model.latent_dim, or numbers in scales"
            )
