"""How well codes that moved on by themselves give the frames of a sequence: what the metrics of sequences share.

Shape letters: B batch, D latent dimensions, K transformations, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aerepr.errors import DataError, MissingExtra
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step
from aerepr_flow.objectives.flow import FlowObjective
from aerepr_flow.walk import steps_along

Way = Literal["sample", "represent"]
WAYS: tuple[Way, ...] = get_args(Way)

# Codes of the frames after the first, from an encoded batch and its first codes (B, D).
Predict = Callable[[Step, Tensor], Iterable[Tensor]]


def transformations(run: RunView, who: str) -> tuple[str, ...]:
    """Names of the transformations that a run's sequences show.

    Raises:
        DataError: its data is no labelled sequences.
    """
    if run.info.frames < 2 or not run.info.labels:
        raise DataError(
            f"{who} needs sequences, each labelled with its transformation, and this run's data has {run.info.frames} frame(s) "
            f'and {len(run.info.labels)} labels: train on a data set such as "factor_sequences"'
        )
    return run.info.labels


def labels(step: Step) -> Tensor:
    """The transformation each sequence shows, (B,)."""
    label_B = step.batch.label
    assert label_B is not None, "a data set that names labels gives them"
    return label_B


def first_codes(run: RunView, step: Step) -> dict[Way, Tensor]:
    """Codes of first frames (B, D): drawn from the posterior, with the same noise every time, and without noise."""
    posterior = run.model.posterior
    noise = step.noise("posterior", posterior.noise, posterior.noise_shape)
    return {"sample": posterior.draw(step.params_BDK, noise, "sample"), "represent": step.z_BD}


def frame_codes(run: RunView, step: Step, t: int) -> dict[Way, Tensor]:
    """Codes of frame t as the encoder sees it (B, D): drawn, with noise of its own, and without noise."""
    posterior = run.model.posterior
    params_BDK = step.params_BDK if t == 0 else run.model.encoder(step.batch.x[:, t])
    noise = step.noise(f"linear{t}", posterior.noise, posterior.noise_shape)
    return {way: posterior.draw(params_BDK, noise, way) for way in WAYS}


def decoded(run: RunView, z_BD: Tensor) -> Tensor:
    """The likelihood's mean, (B, *shape)."""
    return run.model.likelihood.mean(run.model.decoder(z_BD))


def by_label(objective: FlowObjective, indices: Iterable[int]) -> Predict:
    """Codes along the flow.

    Args:
        indices: of the potential that stands for each transformation.
    """
    index_K = torch.tensor(list(indices))

    def predict(step: Step, z_BD: Tensor) -> Iterator[Tensor]:
        label_B = index_K.to(z_BD.device)[labels(step)]
        return steps_along(objective.flow, z_BD, [_weights(label_B, objective, z_BD)] * objective.steps)

    return predict


def by_inference(objective: FlowObjective) -> Predict:
    """Codes along the flow of the likeliest transformation, as inferred from all frames, also those that are predicted."""

    def predict(step: Step, z_BD: Tensor) -> Iterator[Tensor]:
        likeliest_B = objective.infer_weights(step.batch.x).argmax(dim=-1)
        return steps_along(objective.flow, z_BD, [_weights(likeliest_B, objective, z_BD)] * objective.steps)

    return predict


def _weights(index_B: Tensor, objective: FlowObjective, z_BD: Tensor) -> Tensor:
    return F.one_hot(index_B, objective.flow.count).to(z_BD.dtype)


def resting(step: Step, z_BD: Tensor) -> Iterator[Tensor]:
    """The first code for every frame: a model without motion."""
    for _ in range(step.batch.x.shape[1] - 1):
        yield z_BD


def errors(run: RunView, predicts: Mapping[tuple[str, Way], Predict], count: int) -> dict[tuple[str, Way], Tensor]:
    """The equivariance error  E_k = mean over the sequences of k of  sum over t >= 1 and values of |Dec(z_t) - x_t|.

    Args:
        predicts: by name, and by which first codes they start from. count: K.

    Returns:
        By the same, (K,) float64.

    Raises:
        DataError: no sequence asked about shows one of the transformations.
    """
    sums = {key: torch.zeros(count, dtype=torch.float64) for key in predicts}
    shown_K = torch.zeros(count, dtype=torch.float64)
    for step in run.encoded():
        label_B, codes = labels(step), first_codes(run, step)
        shown_K += torch.bincount(label_B, minlength=count).cpu()
        for (name, way), predict in predicts.items():
            error_B = _error(run, predict(step, codes[way]), step.batch.x)
            sums[name, way].index_add_(0, label_B.cpu(), error_B.cpu().double())
    if not bool((shown_K > 0).all()):
        missing = run.info.labels[int(shown_K.argmin())]
        raise DataError(
            f"none of the {int(shown_K.sum())} sequences asked about shows {missing}, expected some of every transformation; "
            "ask about more rows"
        )
    return {key: sum_K / shown_K for key, sum_K in sums.items()}


def _error(run: RunView, codes: Iterable[Tensor], x: Tensor) -> Tensor:
    """Of each sequence (B,): the sum over steps and values of the absolute difference."""
    total_B, before, picture = x.new_zeros(len(x)), None, None
    for number, z_BD in enumerate(codes, start=1):
        if before is not z_BD:  # a code that rests is decoded once
            before, picture = z_BD, decoded(run, z_BD)
        assert picture is not None
        total_B = total_B + (picture - x[:, number]).abs().flatten(1).sum(dim=1)
    return total_B


def matched(run: RunView, objective: FlowObjective) -> list[int]:
    """The potential that stands for each transformation: of all assignments that of the least total error.

    What a model learns without labels has no order of its own. The errors are of codes without noise.

    Raises:
        MissingExtra: scipy is not installed.
    """
    count = objective.flow.count
    single: dict[tuple[str, Way], Predict] = {
        (str(index), "represent"): by_label(objective, [index] * count) for index in range(count)
    }
    found = errors(run, single, count)
    return assigned(np.stack([found[str(index), "represent"].numpy() for index in range(count)], axis=1))


def assigned(error_KK: np.ndarray) -> list[int]:
    """The column of each row in the assignment of least total error (the Hungarian method).

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as cause:
        raise MissingExtra("scipy", "metrics", "matching potentials with transformations") from cause
    return [int(column) for column in linear_sum_assignment(error_KK)[1]]
