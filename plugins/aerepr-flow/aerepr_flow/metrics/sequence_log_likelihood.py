"""Log-likelihood of sequences given their transformation, a frame, estimated by importance sampling.

Codes follow from the first one, so a sequence has one integral:

    log p(x_0..x_T | k) = log E_{z_0 ~ q(z|x_0)} [ p(z_0) / q(z_0|x_0) * prod_t p(x_t | z_t) ],   z_t = flow_k(z_{t-1}, t)

With S samples of z_0 the log of their mean is a lower bound in expectation, tighter the larger S. Numbers are divided by the T + 1
frames. `gaussian` has unit variance around the decoded image, as in the paper's evaluation: at most -log(2 pi) / 2 a value, so
-2161.34 for 2352 of them. `trained` has the run's own likelihood, whose values compare only with those of the same kind (that of
"bernoulli" is a cross entropy, no density of grey values).

`legacy_gaussian` is what the released code averages over t = 1..T - 1 and sequences, as an estimate of log p(x_t); of T = 1 there is none:

    log N(x_t; Dec(z_t), 1) - log p_t(z_t) + log q_t(z_t),   one sample

Its last two terms have the opposite sign of a bound's, so it is a bound of nothing and may exceed what a Gaussian can give.
log q_t and log p_t are those of the run's own rules: the released ones are density = "legacy_row_sum" with divergence =
"legacy_softmax".

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4, and the authors' code; Burda,
Grosse, Salakhutdinov 2016, arXiv:1509.00519 (the bound).
Shape letters: B batch, D latent dimensions, K transformations, S samples.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from aerepr.errors import UsageError
from aerepr.kinds.distributions import has_density, is_comparable
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step
from aerepr.spec.base import ComponentSpec
from aerepr_flow.objectives.flow import FlowObjective
from aerepr_flow.prediction import Predict, by_label, first_codes, labels, matched, resting, transformations
from aerepr_flow.walk import flow_objective

_WHO = 'metric "sequence_log_likelihood"'


class SequenceLogLikelihoodSpec(ComponentSpec):
    """A metric's table with `name = "sequence_log_likelihood"`."""

    protocol: Literal["flow", "static"] = Field(
        "flow", description="whether the code moves along the run's flow, or rests, which any model can"
    )
    samples: PositiveInt = Field(8, description="S, first codes drawn for each sequence")


class SequenceLogLikelihood(Metric):
    """`gaussian` and `trained`, nats a frame, and of a flow that follows densities `legacy_gaussian`."""

    Spec = SequenceLogLikelihoodSpec
    needs = "run"
    modes = ("sample",)
    supervised = False
    on_request = "it is of sequences, of which it decodes every frame several times"
    protocol = (
        "log p(x_0..x_T | k) / (T + 1), nats, by importance sampling with q(z_0 | x_0), `samples` draws (a lower bound in "
        "expectation); gaussian: unit variance, trained: the run's likelihood; a flow learned without labels is matched with the "
        "transformations first (Hungarian, on the equivariance error); legacy_gaussian: the released formula, whose densities "
        "have the wrong sign, over t = 1..T-1; @static: a code that rests"
    )

    def __init__(self, spec: SequenceLogLikelihoodSpec) -> None:
        self.how, self.samples = spec.protocol, spec.samples

    def compute(self, run: RunView) -> dict[str, float]:
        """The estimates of one run on the sequences asked about.

        Raises:
            DataError: the data is no sequences. UsageError: the run has no flow, or its posterior no density.
            MissingExtra: scipy is not installed.
        """
        names = transformations(run, _WHO)
        predict, objective, indices = self._motion(run, len(names))
        totals = {"gaussian": 0.0, "trained": 0.0}
        rows = 0
        for step in run.encoded():
            _require_density(run, step)
            for field, bound_B in self._bounds(run, step, predict).items():
                totals[field] += float(bound_B.sum(dtype=torch.float64)) / step.batch.x.shape[1]
            if objective is not None and objective.divergence is not None and objective.steps > 1:
                legacy_B = _legacy(run, step, objective, indices)
                totals["legacy_gaussian"] = totals.get("legacy_gaussian", 0.0) + float(
                    legacy_B.sum(dtype=torch.float64)
                )
            rows += len(step.batch)
        end = "" if self.how == "flow" else f"@{self.how}"
        return {f"sequence_log_likelihood.{field}{end}": total / rows for field, total in totals.items()}

    def _motion(self, run: RunView, count: int) -> tuple[Predict, FlowObjective | None, list[int]]:
        if self.how == "static":
            return resting, None, []
        objective = flow_objective(run, _WHO, ": ask for sequence_log_likelihood@static, which any model has")
        indices = list(range(count)) if objective.supervision == "supervised" else matched(run, objective)
        return by_label(objective, indices), objective, indices

    def _bounds(self, run: RunView, step: Step, predict: Predict) -> dict[str, Tensor]:
        """Of each sequence and either likelihood, (B,): the log of the mean importance weight."""
        posterior = run.model.posterior
        weights: dict[str, list[Tensor]] = {"gaussian": [], "trained": []}
        for number in range(self.samples):
            noise = step.noise(f"importance{number}", posterior.noise, posterior.noise_shape)
            z_BD = posterior.draw(step.params_BDK, noise, "sample")
            ratio_B = step.prior.log_prob(z_BD) - step.posterior.log_prob(z_BD)
            logs = {"gaussian": ratio_B.double(), "trained": ratio_B.double()}
            raw, mean, before = None, None, None
            for t, code_BD in enumerate(itertools.chain((z_BD,), predict(step, z_BD))):
                if before is not code_BD:  # a code that rests is decoded once
                    before, raw = code_BD, run.model.decoder(code_BD)
                    mean = run.model.likelihood.mean(raw)
                assert raw is not None
                assert mean is not None
                x = step.batch.x[:, t]
                logs["gaussian"] = logs["gaussian"] + _unit_gaussian(mean, x)
                logs["trained"] = logs["trained"] + run.model.likelihood(raw).log_prob(x).double()
            for field, log_B in logs.items():
                weights[field].append(log_B)
        return {
            field: torch.logsumexp(torch.stack(found), dim=0) - math.log(self.samples)
            for field, found in weights.items()
        }


def _unit_gaussian(mean: Tensor, x: Tensor) -> Tensor:
    """log N(x; mean, 1), summed over values: (B,) float64."""
    squares_B = (mean - x).double().square().flatten(1).sum(dim=1)
    return -0.5 * (squares_B + x[0].numel() * math.log(2 * math.pi))


def _legacy(run: RunView, step: Step, objective: FlowObjective, indices: list[int]) -> Tensor:
    """The released estimate of each sequence, (B,), mean over t = 1..T - 1: its loop leaves out the last frame."""
    z_BD = first_codes(run, step)["sample"]
    index_B = torch.tensor(indices, device=z_BD.device)[labels(step)]
    weights_BK = F.one_hot(index_B, objective.flow.count).to(z_BD.dtype)
    log_q, log_p = objective.start(z_BD, step.posterior, step.prior)
    total_B = torch.zeros(len(z_BD), dtype=torch.float64, device=z_BD.device)
    for t in range(1, objective.steps):
        z_BD, log_q, log_p = objective.densities(z_BD, log_q, log_p, t, weights_BK, step.prior)
        mean = run.model.likelihood.mean(run.model.decoder(z_BD))
        total_B = total_B + _unit_gaussian(mean, step.batch.x[:, t]) + _joint(log_q) - _joint(log_p)
    return total_B / (objective.steps - 1)


def _joint(log_density: Tensor) -> Tensor:
    """Of single dimensions, their sum."""
    return log_density.double().flatten(1).sum(dim=1) if log_density.dim() > 1 else log_density.double()


def _require_density(run: RunView, step: Step) -> None:
    if not has_density(step.posterior) or not is_comparable(step.posterior, step.prior):
        name, prior = run.spec.model.posterior.name, run.spec.model.prior.name
        raise UsageError(
            f'{_WHO} needs the density of q(z|x) over that of the prior, and posterior "{name}" with prior "{prior}" has none: '
            'use "gaussian" with "standard_normal"'
        )
