"""Equivariance error: how far the frames decoded from a moving code are from those of the sequence.

    E_k = mean over sequences of k of  sum over t = 1..T and values of  |Dec(z_t) - x_t|,   z_0 ~ q(z | x_0)

By protocol the code moves

    flow            along the run's flow of k: the published measure
    static          not at all: what is left to a model without motion, whatever its objective
    linear          step by step by one map of k, z_t = A_k (z_{t-1}, 1)
    linear_direct   at once by a map of k and t, z_t = A_kt (z_0, 1): nothing adds up along the steps, and t is known, as to a flow

`sample_*` start from a drawn code, as published, `represent_*` from the code without noise, which errs less. Where a flow learned
without labels, its potentials are matched with the transformations first: of all assignments the one of the least sum of E_k
(represent); `inferred_*` take for each sequence the likeliest potential that the run's own network infers, as published, from
all its frames.

Linear maps are fitted afterwards, by least squares to the codes of the frames, for each of the two ways by itself: what they are
given are codes drawn for `sample_*` and codes without noise for `represent_*`, what they are to give the codes without noise. So a
dimension that says nothing, whose codes are noise around a mean that hardly varies, has no weight in the first, while in the second
its weight may be anything. They are fitted to every other of the sequences, and predict the rest, both ways round, so that none
predicts what it was fitted to and every sequence is scored.

Of a flow `folded_<k>` is the share of steps, over drawn sequences and t, at whose code the least eigenvalue of I + H is not positive, H
the Hessian of the potential: where it is 0, no step was seen that contradicts what the bounds of `density.py` ask for. Left out above
64 latent dimensions, of which the Hessians take long.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4. The released code sums to T - 1
on MNIST, and there prints for k >= 1 the mean over 0..k.
Shape letters: B batch, D latent dimensions, K transformations, T steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step
from aerepr.spec.base import ComponentSpec
from aerepr_flow.density import jacobian
from aerepr_flow.objectives.flow import FlowObjective
from aerepr_flow.prediction import (
    WAYS,
    Predict,
    Way,
    by_inference,
    by_label,
    errors,
    first_codes,
    frame_codes,
    labels,
    matched,
    resting,
    transformations,
)
from aerepr_flow.walk import flow_objective

_WHO = 'metric "equivariance_error"'

# Latent dimensions up to which Hessians are looked at.
_HESSIANS = 64


class EquivarianceErrorSpec(ComponentSpec):
    """A metric's table with `name = "equivariance_error"`."""

    protocol: Literal["flow", "static", "linear", "linear_direct"] = Field(
        "flow",
        description="how the code moves: along the run's flow, not at all, or by linear maps fitted afterwards, step by step or at "
        "once to each t",
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
        "network's choice from all frames; folded: share of steps from drawn codes with an eigenvalue of I + Hessian <= 0; @static: "
        "a code that rests; @linear: one affine map of codes for each transformation, applied t times, @linear_direct: one for each "
        "transformation and t, of first codes; either fitted for drawn codes and for those without noise apart, two-fold cross-fitted "
        "on these sequences"
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
        predicts, more = self._predicts(run, names)
        found = errors(run, predicts, len(names))
        end = "" if self.how == "flow" else f"@{self.how}"
        numbers = dict(more)
        for (kind, way), error_K in found.items():
            stem = f"{kind}{way}"
            numbers |= {f"{stem}_{name}{end}": error for name, error in zip(names, error_K.tolist(), strict=True)}
            numbers[f"{stem}{end}"] = float(error_K.mean())
        return {f"equivariance_error.{field}": value for field, value in numbers.items()}

    def _predicts(self, run: RunView, names: Sequence[str]) -> tuple[dict[tuple[str, Way], Predict], dict[str, float]]:
        """How codes move, by what their keys begin with and by way; and further numbers."""
        if self.how == "static":
            return {("", way): resting for way in WAYS}, {}
        if self.how in ("linear", "linear_direct"):
            maps = LinearMaps(run, len(names), direct=self.how == "linear_direct")
            return {("", way): maps.along(way) for way in WAYS}, {}
        objective = flow_objective(
            run, _WHO, ": ask for equivariance_error@static, @linear or @linear_direct, which any model has"
        )
        predicts: dict[tuple[str, Way], Predict] = {}
        more: dict[str, float] = {}
        indices = list(range(len(names)))
        if objective.supervision == "weak":
            indices = matched(run, objective)
            more |= {f"matched_{name}": float(index) for name, index in zip(names, indices, strict=True)}
            inferred = by_inference(objective)
            predicts |= {("inferred_", way): inferred for way in WAYS}
        predicts |= {("", way): by_label(objective, indices) for way in WAYS}
        if objective.flow.latent_dim <= _HESSIANS:
            shares = folded(run, objective, indices).tolist()
            more |= {f"folded_{name}": share for name, share in zip(names, shares, strict=True)}
        return predicts, more


def folded(run: RunView, objective: FlowObjective, indices: Sequence[int]) -> Tensor:
    """Of each transformation the share of steps at whose code I + H has an eigenvalue that is not positive, (K,) float64.

    Args:
        indices: of the potential that stands for each transformation.
    """
    networks, predict = objective.flow.potential.networks(), by_label(objective, indices)
    bent_K, seen_K = (torch.zeros(len(indices), dtype=torch.float64) for _ in range(2))
    for step in run.encoded():
        label_B, z_BD = labels(step), first_codes(run, step)["sample"]
        index_B = torch.tensor(list(indices), device=z_BD.device)[label_B]
        weights_KB = F.one_hot(index_B, objective.flow.count).mT.to(z_BD)
        # A step begins at the code before it; the last code makes none.
        for t, after_BD in enumerate(predict(step, z_BD), start=1):
            point = networks.at(z_BD, networks.shift(z_BD.new_full((1,), float(t))))
            least_B = torch.linalg.eigvalsh(jacobian(point, weights_KB))[:, 0]
            bent_K.index_add_(0, label_B.cpu(), (least_B <= 0).cpu().double())
            z_BD = after_BD
        seen_K += objective.steps * torch.bincount(label_B, minlength=len(indices)).cpu()
    return bent_K / seen_K


class LinearMaps:
    """Affine maps of codes, for each transformation and way, fitted to one half of the sequences and to the other.

    The halves are every other row asked about. The normal equations are summed in float64, a batch at a time.

    Args:
        count: K. direct: maps from the first frame's code to that of each t, instead of one from each frame's to the next one's.

    Raises:
        DataError: a half has no more examples than a map has inputs.
    """

    def __init__(self, run: RunView, count: int, direct: bool = False) -> None:
        inputs, steps = run.layout.latent_dim + 1, run.info.frames - 1
        self.direct, outputs = direct, run.layout.latent_dim * (steps if direct else 1)
        square = {way: torch.zeros(2, count, inputs, inputs, dtype=torch.float64) for way in WAYS}
        product = {way: torch.zeros(2, count, inputs, outputs, dtype=torch.float64) for way in WAYS}
        self._half_of: dict[int, int] = {}
        examples = torch.zeros(2, count)
        for step in run.encoded():
            label_B = labels(step).cpu()
            half_B = (torch.arange(len(label_B)) + len(self._half_of)) % 2
            frames = [frame_codes(run, step, t) for t in range(steps + 1)]
            codes = {way: torch.stack([frame[way] for frame in frames]).cpu().double() for way in WAYS}
            target_TBD = codes["represent"][1:]
            for half in range(2):
                for k in range(count):
                    chosen_B = (half_B == half) & (label_B == k)
                    then_TBD = target_TBD[:, chosen_B]
                    then = then_TBD.transpose(0, 1).flatten(1) if direct else then_TBD.flatten(0, 1)
                    for way, given_TBD in codes.items():
                        given = _with_one(given_TBD[: 1 if direct else steps, chosen_B].flatten(0, 1))
                        square[way][half, k] += given.mT @ given
                        product[way][half, k] += given.mT @ then
                    examples[half, k] += len(then)
            self._half_of |= dict(zip(step.batch.rows.tolist(), half_B.tolist(), strict=True))
        if float(examples.min()) < inputs:
            what = "sequences" if direct else "pairs of frames"
            raise DataError(
                f"linear maps of {inputs - 1} dimensions: found {int(examples.min())} {what} of one transformation in a half of the "
                f"sequences, expected more than {inputs - 1}; ask about more rows"
            )
        # Not by inversion: dimensions that a code leaves unused make the equations singular.
        self._maps = {way: torch.linalg.lstsq(square[way], product[way], driver="gelsd").solution for way in WAYS}

    def along(self, way: Way) -> Predict:
        """Codes by the maps of a way that were fitted to the other half."""

        def predict(step: Step, z_BD: Tensor) -> Iterable[Tensor]:
            other_B = torch.tensor([1 - self._half_of[row] for row in step.batch.rows.tolist()])
            maps = self._maps[way][other_B, labels(step).cpu()]
            moved = z_BD.cpu().double()
            if self.direct:
                at_once = (_with_one(moved)[:, None] @ maps)[:, 0]
                yield from at_once.to(z_BD).split(z_BD.shape[1], dim=1)
                return
            for _ in range(step.batch.x.shape[1] - 1):
                moved = (_with_one(moved)[:, None] @ maps)[:, 0]
                yield moved.to(z_BD)

        return predict


def _with_one(z_D: Tensor) -> Tensor:
    return torch.cat([z_D, torch.ones_like(z_D[..., :1])], dim=-1)
