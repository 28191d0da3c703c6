"""What the networks share: where they get their first weights, and which images they take.

Source: Friede et al. 2023, "Learning Disentangled Discrete Representations"; the authors' code leaves the weights to the
defaults of Haiku: a normal of deviation 1 / sqrt(inputs of a unit), cut at two deviations, and zero biases.
"""

from __future__ import annotations

from math import sqrt

from torch import nn

from aerepr.errors import ShapeError
from aerepr.kinds.shape import DataShape

# Four halvings.
FACTOR = 16


def initialised(network: nn.Sequential) -> nn.Sequential:
    """The network, with the first weights that Haiku would draw."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            inputs = layer.in_features
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            inputs = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        else:
            continue
        deviation = 1 / sqrt(inputs)
        nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return network


def root(shape: DataShape, what: str) -> tuple[int, int]:
    """Height and width of the smallest feature map, a sixteenth of the image's.

    Raises:
        ShapeError: the data are no images, or images of another size than a multiple of 16.
    """
    if not shape.is_image:
        raise ShapeError(f'the {what} needs images, the data is a {shape}: use name = "mlp"')
    _, height, width = shape.sizes
    if height % FACTOR or width % FACTOR:
        raise ShapeError(
            f'the {what} needs a height and width that {FACTOR} divides, the data is a {shape}: use name = "conv"'
        )
    return height // FACTOR, width // FACTOR
