"""`pinwheel`: points of the plane on four spiral arms, in a draw of their own for each split.

With a, b ~ N(0, 1), and arm one of 0 .. arms - 1:

    r = 1 + 0.3 a,  w = 0.1 b,  theta = 2 pi arm / arms + 0.25 exp(r)
    point = (r cos theta + w sin theta, -r sin theta + w cos theta)

The wide deviation is that of the radius, as in the authors' code, whose function calls it tangential.

Source: Johnson et al. 2016, arXiv:1603.06277 (the data); Mathieu et al. 2019, arXiv:1812.02833 (these settings).
Shape letters: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt

from aerepr.data.factors import FactorTable
from aerepr.data.held import HeldDataset
from aerepr.kinds.dataset import DataContext
from aerepr.spec.data import DatasetSpec

SPLITS = ("train", "valid", "test")
RADIAL_DEVIATION, TANGENTIAL_DEVIATION, RATE = 0.3, 0.1, 0.25


class PinwheelSpec(DatasetSpec):
    """Table `[data]` with `name = "pinwheel"`. Each split is a draw; `split` and `split_seed` have no say."""

    arms: PositiveInt = Field(4, description="arms, equally spaced; the classes of the factor `arm`")
    points: PositiveInt = Field(100, description="points of each arm, in each split")
    points_seed: NonNegativeInt = Field(0, description="seed of the points, apart from `seed`: a study shares its data")


class PinwheelDataset(HeldDataset):
    """The training points, then as many to validate and as many to test on; the factor is the arm."""

    Spec = PinwheelSpec

    def __init__(self, spec: PinwheelSpec, ctx: DataContext) -> None:
        arm_N = np.repeat(np.arange(spec.arms), spec.points)
        draws = [
            pinwheel(arm_N, spec.arms, np.random.default_rng([spec.points_seed, number]))
            for number in range(len(SPLITS))
        ]
        arms = np.tile(arm_N, len(SPLITS))
        factors, _ = FactorTable.from_columns(arms, ["arm"], "pinwheel", sizes=[spec.arms])
        rows = np.arange(len(arms), dtype=np.int64)
        splits: Mapping[str, np.ndarray] = dict(zip(SPLITS, np.split(rows, len(SPLITS)), strict=True))
        super().__init__(np.concatenate(draws), factors, splits=splits)


def pinwheel(arm_N: npt.NDArray[np.integer], arms: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """A point for each arm listed, (N, 2)."""
    a_N, b_N = generator.standard_normal((2, len(arm_N)))
    r_N, w_N = 1 + RADIAL_DEVIATION * a_N, TANGENTIAL_DEVIATION * b_N
    theta_N = 2 * np.pi * arm_N / arms + RATE * np.exp(r_N)
    cos_N, sin_N = np.cos(theta_N), np.sin(theta_N)
    return np.stack([r_N * cos_N + w_N * sin_N, w_N * cos_N - r_N * sin_N], axis=1).astype(np.float32)
