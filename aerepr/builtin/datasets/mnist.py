"""`mnist`: handwritten digits from the four published files; the published test images are the test split.

Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".
"""

from __future__ import annotations

from aerepr.data.held import HeldDataset
from aerepr.data.mnist import FourFilesSpec, read_four_files
from aerepr.kinds.dataset import DataContext


class MNISTSpec(FourFilesSpec):
    """Table `[data]` with `name = "mnist"`; `split` divides the published training images between train and valid."""


class MNISTDataset(HeldDataset):
    """70,000 images 28 x 28, grey; the factor `label` is the digit."""

    Spec = MNISTSpec

    def __init__(self, spec: MNISTSpec, ctx: DataContext) -> None:
        super().__init__(**read_four_files(spec, ctx, tuple("0123456789")))
