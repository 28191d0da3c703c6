"""Multi-layer perceptron: linear layers with a nonlinearity between them and none after the last.

Shape letters: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

Nonlinearity = Literal["mish", "elu", "relu", "leaky_relu", "gelu", "silu", "tanh"]

NONLINEARITIES: dict[Nonlinearity, type[nn.Module]] = {
    "mish": nn.Mish,
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class MLP(nn.Sequential):
    """Linear layers of the given widths.

    Args:
        inputs: width of what comes in, (B, inputs).
        hidden: widths of the hidden layers; none of them makes the map linear.
        outputs: width of what comes out, (B, outputs), unconstrained.
        nonlinearity: what follows every layer but the last.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, nonlinearity: Nonlinearity) -> None:
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise([inputs, *hidden, outputs]):
            layers += [nn.Linear(width_in, width_out), NONLINEARITIES[nonlinearity]()]
        super().__init__(*layers[:-1])
