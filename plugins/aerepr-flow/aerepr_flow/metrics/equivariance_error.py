"""Equivariance error: how far the frames decoded from a moving code are from those of the sequence.

    E_k = mean over sequences of k of  sum over t = 1..T and values of  |Dec(z_t) - x_t|,   z_0 ~ q(z | x_0)

By protocol the code moves

    flow     along the run's flow of k: the published measure
    static   not at all: what is left to a model without motion, whatever its objective
    linear   by a map of k, (z_t, 1) = A_k (z_{t-1}, 1), fitted by least squares to the codes of the frames afterwards

`sample_*` start from a drawn code, as published, `represent_*` from the code without noise, which errs less. Where a flow learned
without labels, its potentials are matched with the transformations first: of all assignments the one of the least sum of E_k
(represent); `inferred_*` take for each sequence the likeliest potential that the run's own network infers, as published, from
all its frames. Linear maps are fitted to every other of the sequences, and predict the rest, both ways round, so that none
predicts what it was fitted to and every sequence is scored.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4. The released code sums to T - 1
on MNIST, and there prints for k >= 1 the mean over 0..k.
Shape letters: B batch, D latent dimensions, K transformations, T steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step
from aerepr.spec.base import ComponentSpec
from aerepr_flow.prediction import (
    Predict,
    Way,
    by_inference,
    by_label,
    errors,
    frame_codes,
    labels,
    matched,
    resting,
    transformations,
)
from aerepr_flow.walk import flow_objective

_WHO = 'metric "equivariance_error"'
_WAYS: tuple[Way, ...] = ("sample", "represent")


class EquivarianceErrorSpec(ComponentSpec):
    """A metric's table with `name = "equivariance_error"`."""

    protocol: Literal["flow", "static", "linear"] = Field(
        "flow", description="how the code moves: along the run's flow, not at all, or by linear maps fitted afterwards"
    )


class EquivarianceError(Metric):
    """`sample_<k>` and `represent_<k>` of every transformation, and their means over k, `sample` and `represent`."""

    Spec = EquivarianceErrorSpec
    needs = "run"
    modes = ("sample", "represent")
    supervised = False
    on_request = "it is of sequences, of which it decodes every frame"
    protocol = (
        "sum over t = 1..T and values of |decoded - frame|, mean over sequences; sample: first code drawn, represent: without "
        "noise; a flow learned without labels is matched with the transformations (Hungarian, on represent), inferred: its own "
        "network's choice from all frames; @static: a code that rests; @linear: affine maps of codes, one for each "
        "transformation, two-fold cross-fitted on these sequences"
    )

    def __init__(self, spec: EquivarianceErrorSpec) -> None:
        self.how = spec.protocol

    def compute(self, run: RunView) -> dict[str, float]:
        """The errors of one run on the sequences asked about.

        Raises:
            DataError: the data is no sequences, or too few of them. UsageError: the run has no flow.
            MissingExtra: scipy is not installed.
        """
        names = transformations(run, _WHO)
        predicts, more = self._predicts(run, len(names))
        found = errors(run, predicts, len(names), _WAYS)
        end = "" if self.how == "flow" else f"@{self.how}"
        numbers = dict(more)
        for (kind, way), error_K in found.items():
            stem = f"{kind}{way}"
            numbers |= {f"{stem}_{name}{end}": error for name, error in zip(names, error_K.tolist(), strict=True)}
            numbers[f"{stem}{end}"] = float(error_K.mean())
        return {f"equivariance_error.{field}": value for field, value in numbers.items()}

    def _predicts(self, run: RunView, count: int) -> tuple[dict[str, Predict], dict[str, float]]:
        """How codes move, by what their keys begin with; and further numbers."""
        if self.how == "static":
            return {"": resting}, {}
        if self.how == "linear":
            return {"": LinearMaps(run, count).predict}, {}
        objective = flow_objective(run, _WHO, ": ask for equivariance_error@static or @linear, which any model has")
        if objective.supervision == "supervised":
            return {"": by_label(objective, range(count))}, {}
        indices = matched(run, objective)
        which = {f"matched_{name}": float(index) for name, index in zip(run.info.labels, indices, strict=True)}
        return {"": by_label(objective, indices), "inferred_": by_inference(objective)}, which


class LinearMaps:
    """Affine maps of codes, for each transformation, fitted to one half of the sequences and to the other.

    The halves are every other row asked about. The normal equations are summed in float64, a batch at a time.

    Args:
        count: K.

    Raises:
        DataError: a half has fewer pairs of frames than a map has rows.
    """

    def __init__(self, run: RunView, count: int) -> None:
        latent_dim = run.layout.latent_dim
        square = torch.zeros(2, count, latent_dim + 1, latent_dim + 1, dtype=torch.float64)
        product = torch.zeros(2, count, latent_dim + 1, latent_dim, dtype=torch.float64)
        self._half_of: dict[int, int] = {}
        seen = 0
        pairs = torch.zeros(2, count)
        for step in run.encoded():
            label_B = labels(step).cpu()
            half_B = (torch.arange(len(label_B)) + seen) % 2
            self._half_of |= dict(zip(step.batch.rows.tolist(), half_B.tolist(), strict=True))
            seen += len(label_B)
            frames = [step.z_BD, *(frame_codes(run, step.batch.x[:, t]) for t in range(1, step.batch.x.shape[1]))]
            codes_TBD = torch.stack(frames).cpu().double()
            before = _with_one(codes_TBD[:-1])
            for half in range(2):
                for k in range(count):
                    chosen = (half_B == half) & (label_B == k)
                    given, then = before[:, chosen].flatten(0, 1), codes_TBD[1:, chosen].flatten(0, 1)
                    square[half, k] += given.mT @ given
                    product[half, k] += given.mT @ then
                    pairs[half, k] += len(given)
        if float(pairs.min()) <= latent_dim:
            raise DataError(
                f"linear maps of {latent_dim} dimensions: found {int(pairs.min())} pairs of frames of one transformation in a "
                f"half of the sequences, expected more than {latent_dim}; ask about more rows"
            )
        # Not by inversion: dimensions that a code leaves unused make the equations singular.
        self._maps = torch.linalg.lstsq(square, product, driver="gelsd").solution

    def predict(self, step: Step, z_BD: Tensor) -> Iterable[Tensor]:
        """Codes by the maps that were fitted to the other half."""
        other_B = torch.tensor([1 - self._half_of[row] for row in step.batch.rows.tolist()])
        maps_BED = self._maps[other_B, labels(step).cpu()]
        moved_BD = z_BD.cpu().double()
        for _ in range(step.batch.x.shape[1] - 1):
            moved_BD = (_with_one(moved_BD)[:, None] @ maps_BED)[:, 0]
            yield moved_BD.to(z_BD)


def _with_one(z_D: Tensor) -> Tensor:
    return torch.cat([z_D, torch.ones_like(z_D[..., :1])], dim=-1)
