"""What the networks for images share: which images they take, and first weights."""

from __future__ import annotations

from torch import nn

from aerepr.errors import ShapeError
from aerepr.kinds.shape import DataShape

# Deviation of the first weights.
_DEVIATION = 0.02


def root(shape: DataShape, halvings: int, what: str) -> tuple[int, int]:
    """Height and width of the smallest feature map, the image's halved that often.

    Raises:
        ShapeError: the data are no images, or their sides cannot be halved so often.
    """
    if not shape.is_image:
        raise ShapeError(f'the {what} needs images, the data is a {shape}: use name = "mlp"')
    _, height, width = shape.sizes
    factor = 2**halvings
    if height % factor or width % factor:
        raise ShapeError(
            f'the {what} needs a height and width that {factor} divides, the data is a {shape}: use name = "conv"'
        )
    return height // factor, width // factor


def normal_weights(network: nn.Sequential) -> nn.Sequential:
    """The network, with weights of its convolutions drawn N(0, 0.02^2)."""
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=_DEVIATION)
    return network
