"""Multi-layer perceptron: linear layers with a nonlinearity between them and none after the last.

Shape letters: N networks, B batch, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

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


class MLPs(nn.Module):
    """N MLPs of equal widths, one input each, with weights of their own.

    Each layer of all N is one batched product: the same numbers as N separate MLPs, in a tenth of the kernels.

    Args:
        count: N. inputs, hidden, outputs, nonlinearity: as of `MLP`.
    """

    def __init__(
        self, count: int, inputs: int, hidden: Sequence[int], outputs: int, nonlinearity: Nonlinearity
    ) -> None:
        super().__init__()
        pairs = list(pairwise([inputs, *hidden, outputs]))
        self.weights = nn.ParameterList(torch.empty(count, width_in, width_out) for width_in, width_out in pairs)
        self.biases = nn.ParameterList(torch.empty(count, 1, width_out) for _, width_out in pairs)
        self.nonlinearity = NONLINEARITIES[nonlinearity]()
        for (width_in, _), weight, bias in zip(pairs, self.weights, self.biases, strict=True):
            # The start of `nn.Linear`: both uniform within 1 / sqrt(inputs).
            nn.init.uniform_(weight, -(width_in**-0.5), width_in**-0.5)
            nn.init.uniform_(bias, -(width_in**-0.5), width_in**-0.5)

    def forward(self, x_NBI: Tensor) -> Tensor:
        """Outputs (N, B, O), unconstrained, of one slice of x for each MLP."""
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_NBI = torch.baddbmm(bias, self.nonlinearity(x_NBI) if depth else x_NBI, weight)
        return x_NBI
