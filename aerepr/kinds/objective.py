"""Contract of an objective: which losses a step has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from aerepr.kinds.part import Part
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Terms


@dataclass(frozen=True)
class Motion:
    """An exported entry that moves a code: inputs z (B, D), t (B,), the number of the step from 1, and weights (B, K).

    Its output is the next code.

    Attributes:
        names: what each of the K weights stands for. steps: how many were trained.
    """

    names: tuple[str, ...]
    steps: int


class Objective(Part):
    """Named losses of one batch. The default, `elbo`, is distortion plus the weighted regularizers.

    Attributes:
        regularizers: whether it calls `regularize`; if not, listing any regularizer is a spec error.
        order: 2 if the loss itself contains gradients, so that double backward occurs and evaluation needs autograd.
        needs_density, needs_factorised: as a regularizer's: what posterior and prior must have.
    """

    regularizers: ClassVar[bool] = True
    order: ClassVar[int] = 1
    needs_density: bool = False
    needs_factorised: bool = False

    @abstractmethod
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        """The terms of the loss.

        Args:
            model: the autoencoder; `model.infer(step)` fills a step.
            step: batch, noise and step number; codes are drawn in `step.mode`.
            regularize: gives the weighted regularizer terms of a filled step.

        Returns:
            name to `Term(raw, weight)`, each raw value 0-dim. Their weighted sum is minimised.
        """

    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Further modules every exporter writes: name to (module, example inputs).

        Tensors in, one tensor out, any gradient written out in forward. The first axis of every input that has one is
        the batch; inputs are called as the arguments of `forward`. Files are compared with the module on the example
        rows, repeated, so give rows that differ and are not zero.
        """
        return {}

    def motions(self) -> Mapping[str, Motion]:
        """Those of the entries that move a code, by name. A host that shows codes can play them, whatever they mean."""
        return {}
