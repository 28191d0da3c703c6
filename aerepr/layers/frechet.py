"""Fréchet distance between two sets of features, as between the Gaussians that have their means and covariances:

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)

The last trace is the sum of the singular values of S1^(1/2) S2^(1/2). Both roots are of symmetric matrices, so covariances
may be singular, nothing turns complex, and the error is of the order of rounding times the traces.

Source: Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions".
Shape letters: B batch, F features.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from aerepr.errors import DataError


class Moments:
    """Mean and covariance of vectors that come batch by batch, in float64 on the CPU.

    Each batch is centred on its own mean before it is added, so nothing cancels where means are large beside deviations
    (Chan, Golub and LeVeque 1983).

    Attributes:
        count: rows seen. mean_F: of them. scatter_FF: sum over them of the outer products of x - mean.
    """

    def __init__(self, features: int) -> None:
        self.count = 0
        self.mean_F = torch.zeros(features, dtype=torch.float64)
        self.scatter_FF = torch.zeros(features, features, dtype=torch.float64)

    @classmethod
    def of(cls, batches: Iterable[Tensor], rows: int) -> Moments:
        """Moments of the first `rows` rows of batches (B, F), or of all where there are fewer; `count` says which.

        Raises:
            DataError: there are none, or some values are not finite.
        """
        found: Moments | None = None
        for batch_BF in batches:
            found = found or cls(batch_BF.shape[1])
            found.add(batch_BF[: rows - found.count])
            if found.count == rows:
                break
        if found is None:
            raise DataError("features: found no rows, expected two or more")
        return found

    def add(self, features_BF: Tensor) -> None:
        """Take in a batch.

        Raises:
            DataError: some values are not finite.
        """
        if not len(features_BF):
            return
        batch_BF = features_BF.detach().cpu().double()
        if not batch_BF.isfinite().all():
            rows = int((~batch_BF.isfinite()).any(dim=1).sum())
            raise DataError(
                f"features: found values that are NaN or infinite in {rows} of {len(batch_BF)} rows, expected finite "
                "numbers: the model has diverged, or the weights of the features are damaged"
            )
        count = self.count + len(batch_BF)
        mean_F = batch_BF.mean(dim=0)
        centred_BF, shift_F = batch_BF - mean_F, mean_F - self.mean_F
        between = self.count * len(batch_BF) / count
        self.scatter_FF += centred_BF.T @ centred_BF + between * torch.outer(shift_F, shift_F)
        self.mean_F += shift_F * (len(batch_BF) / count)
        self.count = count

    @property
    def covariance_FF(self) -> Tensor:
        """The unbiased estimate, (F, F); of two rows or more."""
        return self.scatter_FF / (self.count - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """d^2 between two sets of features; 0 or more.

    Args:
        a, b: moments of as many features, two rows or more each.
    """
    covariances = [a.covariance_FF, b.covariance_FF]
    shared = torch.linalg.svdvals(_root(covariances[0]) @ _root(covariances[1])).sum()
    squared = (a.mean_F - b.mean_F).square().sum() + sum(item.trace() for item in covariances) - 2 * shared
    # Two equal covariances leave rounding noise of either sign.
    return max(0.0, float(squared))


def _root(covariance_FF: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix without negative eigenvalues."""
    values_F, vectors_FF = torch.linalg.eigh(covariance_FF)
    return (vectors_FF * values_F.clamp(min=0.0).sqrt()) @ vectors_FF.T
