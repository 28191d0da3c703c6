"""Pictures of an evaluation: a contact sheet of data, reconstructions and draws of every sampler; a metric's matrix."""

from __future__ import annotations

import numpy as np
import torch

from aerepr.data.source import DataSource
from aerepr.kinds.sampler import Sampler
from aerepr.model.view import View
from aerepr.sampling import pictures
from aerepr.sampling.sample import decode, encode

# Images a row; and points of each group, where data are points in the plane.
COLUMNS, POINTS = 12, 500

# Side of a cell of a matrix, in pixels.
CELL = 24


def sheet(run: View, source: DataSource, rows: np.ndarray, seed: int = 0) -> pictures.Pixels | None:
    """Data, reconstructions and draws, a row each; None of data that has no picture.

    Args:
        rows: of which the first are shown. seed: of the draws.
    """
    shape = run.info.shape
    if not pictures.can_picture(shape):
        return None
    count = COLUMNS if shape.is_image else POINTS
    x = source.examples(rows[:count]).cpu()
    shown = [("data", x), ("reconstruction", decode(run, encode(run, x)))]
    drawn: set[Sampler] = set()
    with torch.no_grad():
        for name, sampler in run.samplers().items():
            if sampler not in drawn:
                drawn.add(sampler)
                shown.append((name, torch.cat(list(run.draw(sampler, len(x), seed))).cpu()))
    groups = [(name, values.numpy()) for name, values in shown]
    return pictures.labelled_rows(groups) if shape.is_image else pictures.scatter(groups)


def cells(matrix: np.ndarray) -> pictures.Pixels:
    """A matrix as grey cells, black at 0 and white at 1 or more; rows are numbered as latent dimensions are, from 1.

    Args:
        matrix: (rows, columns); NaN is black too.
    """
    values = np.nan_to_num(np.asarray(matrix, np.float32))
    return pictures.labelled_rows(
        [(f"z{number}", row.reshape(-1, 1, 1, 1)) for number, row in enumerate(values, start=1)], scale=CELL
    )
