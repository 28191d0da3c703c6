"""Contract of a regularizer: one more term of the loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from aerepr.kinds.part import Part
from aerepr.kinds.step import Step
from aerepr.spec.base import ComponentSpec
from aerepr.spec.model import RegularizerSpec


class Regularizer(Part):
    """A scalar in nats an example, unweighted: the engine applies the spec's `weight` and logs both.

    Attributes:
        extra_batches: further batches of a step it asks for; they come encoded in `step.extra`.
        needs_density: it evaluates q(z given x), so a posterior without density is refused.
        needs_closed_form: it takes KL(q || p) in closed form alone, so a pair without one is refused.
        needs_factorised: it looks at single dimensions of q and p, so a pair that is not factorised is refused.
    """

    Spec: ClassVar[type[ComponentSpec]] = RegularizerSpec

    extra_batches: int = 0
    needs_density: ClassVar[bool] = False
    needs_closed_form: bool = False
    needs_factorised: bool = False

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The term, averaged over the batch: 0-dim."""

    def adversary_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of this term's adversary; the engine gives them the spec's own `optimizer`."""
        return ()

    def adversary_loss(self, step: Step) -> Tensor:
        """The adversary's loss on codes drawn before the update. No gradient of it reaches the model.

        Raises:
            NotImplementedError: the regularizer has adversary parameters but no loss for them.
        """
        raise NotImplementedError(f"{type(self).__name__} has adversary parameters but no adversary_loss")

    def logged_name(self, name: str, step: Step) -> str:
        """The name under which the term is logged; says so when the value is an estimate."""
        return name
