"""What the encoders and decoders share: which images they take, and how wide they are.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, as in the authors' code.
"""

from __future__ import annotations

from aerepr.errors import ShapeError
from aerepr.kinds.shape import DataShape


def root(shape: DataShape, factor: int, what: str) -> tuple[int, int]:
    """Height and width of what `factor` leaves of an image, the kernel of the layer that sees all of it.

    Raises:
        ShapeError: the data are no images, or images that `factor` does not divide.
    """
    if not shape.is_image:
        raise ShapeError(f'the {what} needs images, the data is a {shape}: use name = "mlp"')
    _, height, width = shape.sizes
    if height % factor or width % factor:
        raise ShapeError(
            f'the {what} needs a height and width that {factor} divides, the data is a {shape}: use name = "conv"'
        )
    return height // factor, width // factor
