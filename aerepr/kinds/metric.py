"""Contract of a metric: named numbers about codes, a run, or several runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from aerepr.spec.base import ComponentSpec

if TYPE_CHECKING:
    # Metrics of arrays work without torch, which this would import.
    from aerepr.kinds.step import Mode


class Metric(ABC):
    """Named numbers with their protocol.

    Attributes:
        needs: what `compute` takes: `codes` (codes (N, D) and factor classes (N, factors), numpy), `run` (a RunView, whose
            `evaluated()` are the rows asked about), `runs` (a list of them).
        modes: posterior modes it uses; `check` refuses it on a model whose posterior lacks one.
        supervised: whether a metric of codes reads factors; one that does not is given None where there are none.
        protocol: how the numbers come about, in one line; printed beside them.
    """

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec
    needs: ClassVar[Literal["codes", "run", "runs"]]
    modes: ClassVar[tuple[Mode, ...]] = ("represent",)
    supervised: ClassVar[bool] = True
    protocol: ClassVar[str]

    @abstractmethod
    def __init__(self, spec: ComponentSpec) -> None: ...

    @abstractmethod
    def compute(self, *subject: Any) -> dict[str, float]:
        """The numbers, keyed `metric.field`. Called without gradients; a metric that needs them turns them on."""
