"""`fashion_mnist`: pictures of clothes in the form of MNIST, from the four published files.

Source: Xiao, Rasul, Vollgraf 2017, "Fashion-MNIST", arXiv:1708.07747.
"""

from __future__ import annotations

from aerepr.data.held import HeldDataset
from aerepr.data.mnist import FourFilesSpec, read_four_files
from aerepr.kinds.dataset import DataContext

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class FashionMNISTSpec(FourFilesSpec):
    """Table `[data]` with `name = "fashion_mnist"`; `split` divides the published training images between train and valid."""


class FashionMNISTDataset(HeldDataset):
    """70,000 images 28 x 28, grey; the factor `label` is the kind of garment."""

    Spec = FashionMNISTSpec

    def __init__(self, spec: FashionMNISTSpec, ctx: DataContext) -> None:
        super().__init__(**read_four_files(spec, ctx, CLASSES))
