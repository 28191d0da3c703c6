"""`transform_sequences`: any data set of images as sequences under scaling, rotation and hue, each a function of the step.

Frame t is the first frame transformed at once, not the frame before it again: scale 1 + 0.1 t, rotation 10 t degrees, hue
20 t degrees, centre-fixed and cut off at the border. A grey image lies in the red channel alone where a hue is to shift it,
as published for MNIST.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, section 4, and the authors' code.
Shape letters: B batch, T frames, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor
from torch.nn import functional as F

from aerepr.errors import DataError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Noise
from aerepr_flow.sequences import SequenceDataset, SequenceSpec
from aerepr_flow.transforms import scale_and_rotate, shift_hue

Transform = Literal["scale", "rotation", "hue"]


class TransformSequencesSpec(SequenceSpec):
    """Table `[data]` with `name = "transform_sequences"`."""

    transforms: list[Transform] = Field(
        ["scale", "rotation", "hue"], min_length=1, description="the transformations, in the order of k"
    )
    scale_step: float = Field(0.1, description="what each step adds to the scale, which begins at 1")
    rotation_step: float = Field(10.0, description="degrees of each step, counter-clockwise")
    hue_step: float = Field(20.0, description="degrees of each step on the circle of hues")

    @field_validator("transforms")
    @classmethod
    def _differ(cls, transforms: list[Transform]) -> list[Transform]:
        if len(set(transforms)) < len(transforms):
            raise ValueError(f"expected each transformation once, got {transforms}")
        return transforms

    @model_validator(mode="after")
    def _stays_visible(self) -> TransformSequencesSpec:
        if 1 + self.scale_step * self.steps <= 0:
            raise ValueError(
                f"scale_step = {self.scale_step:g} leaves no image after {self.steps} steps: its scale must stay above 0"
            )
        return self


class TransformSequences(SequenceDataset):
    """Frames computed from the first one, on the device; nothing but the source's rows is kept."""

    Spec = TransformSequencesSpec

    def __init__(self, spec: TransformSequencesSpec, ctx: DataContext) -> None:
        super().__init__(spec, ctx)
        channels, height, width = self.source.shape.sizes
        if channels not in (1, 3):
            raise DataError(
                f'transform_sequences: found source "{spec.source.name}" with {channels} channels, expected grey or colour '
                "images; name another source"
            )
        self.reddens = channels == 1 and "hue" in spec.transforms
        self.shape = DataShape.image(3 if self.reddens else channels, height, width)
        self.factors = self.source.factors
        self.labels = tuple(spec.transforms)
        # A step of each transformation: scale, degrees of rotation, degrees of hue.
        steps = {"scale": (spec.scale_step, 0.0, 0.0), "rotation": (0.0, spec.rotation_step, 0.0)}
        steps["hue"] = (0.0, 0.0, spec.hue_step)
        self._steps_K3 = torch.tensor([steps[name] for name in spec.transforms])

    def resident(self, device: torch.device) -> Tensor:
        self._steps_K3 = self._steps_K3.to(device)
        return self.source.resident(device)

    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        raw = self.source.take(resident, rows)
        return F.pad(raw, (0, 2)) if self.reddens else raw

    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Noise | None) -> Batch:
        x_BCHW = super().view(raw, rows, factors, None).x
        label_B = self.shown(rows, noise)
        later_BT3 = self._steps_K3[label_B][:, None] * torch.arange(1, self.frames, device=rows.device)[:, None]
        scale, rotation, hue = later_BT3.flatten(0, 1).unbind(dim=1)
        frames = x_BCHW.repeat_interleave(self.frames - 1, dim=0)
        moved = torch.where(
            ((scale == 0) & (rotation == 0))[:, None, None, None], frames, scale_and_rotate(frames, 1 + scale, rotation)
        )
        if "hue" in self.labels:
            moved = torch.where((hue == 0)[:, None, None, None], moved, shift_hue(frames, hue))
        later_BTCHW = moved.clamp(0, 1).unflatten(0, (len(rows), self.frames - 1))
        x = torch.cat([x_BCHW[:, None], later_BTCHW], dim=1)
        return Batch(x=x, rows=rows, factors=factors, label=label_B, timed=True)
