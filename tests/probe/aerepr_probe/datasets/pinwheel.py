"""The pinwheel: points of the plane on spiral arms.

With a, b ~ N(0, 1): r = 1 + 0.3 a, w = 0.1 b, theta = 2 pi arm / arms + 0.25 exp(r), and the point is
(r cos theta + w sin theta, -r sin theta + w cos theta).

Source: Mathieu et al. 2019, arXiv:1812.02833, as in the authors' code. Shape letters: N rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from aerepr.data.factors import FactorTable
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.shape import DataShape
from aerepr.spec.data import DatasetSpec


class PinwheelSpec(DatasetSpec):
    """Table `[data]` with `name = "probe_pinwheel"`."""

    points: PositiveInt = Field(400, description="points in all; they take the arms in turn")
    arms: PositiveInt = Field(4, description="arms")
    points_seed: NonNegativeInt = Field(0, description="seed of the points, apart from `seed`")


class PinwheelDataset(Dataset):
    """Points of a pinwheel with the factor `arm`."""

    Spec = PinwheelSpec

    def __init__(self, spec: PinwheelSpec, ctx: DataContext) -> None:
        arm_N = np.arange(spec.points) % spec.arms
        self.points_N2 = pinwheel(arm_N, spec.arms, spec.points_seed)
        self.factors, _ = FactorTable.from_columns(arm_N, ["arm"], sizes=[spec.arms])
        self.shape = DataShape.vector(2)

    def __len__(self) -> int:
        return len(self.points_N2)

    def resident(self, device: torch.device) -> Tensor:
        return torch.from_numpy(self.points_N2).to(device)


def pinwheel(arm_N: npt.NDArray[np.int64], arms: int, seed: int) -> npt.NDArray[np.float32]:
    """One point for each arm listed, (N, 2)."""
    a_N, b_N = np.random.Generator(np.random.PCG64(seed)).standard_normal((2, len(arm_N)))
    r_N, w_N = 1 + 0.3 * a_N, 0.1 * b_N
    theta_N = 2 * np.pi * arm_N / arms + 0.25 * np.exp(r_N)
    x_N = r_N * np.cos(theta_N) + w_N * np.sin(theta_N)
    y_N = -r_N * np.sin(theta_N) + w_N * np.cos(theta_N)
    return np.stack([x_N, y_N], axis=1).astype(np.float32)
