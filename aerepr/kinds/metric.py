"""Contract of a metric: named numbers about codes, a run, or several runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from aerepr.spec.base import ComponentSpec

if TYPE_CHECKING:
    import numpy as np

    # Metrics of arrays work without torch, which this would import.
    from aerepr.kinds.step import Mode


class Metric(ABC):
    """Named numbers with their protocol.

    Attributes:
        needs: what `compute` takes: `codes` (codes (N, D) and factor classes (N, factors), numpy), `run` (a RunView, whose
            `evaluated()` are the rows asked about, and `encoded()` the same with their codes), `runs` (a list of them).
        modes: posterior modes it uses; `check` refuses it on a model whose posterior lacks one.
        supervised: whether a metric of codes reads factors; one that does not is given None where there are none.
        protocol: how the numbers come about, in one line; printed beside them.
        on_request: why `aerepr evaluate` computes it only where it is named, such as "minutes"; empty: it is in the default
            set, wherever the run has what it needs.
        absent: why a run may have no number of a field that others have, by field, such as {"prior": "..."}; what a table says
            in its place.
        lower_is_better: fields of which less is better, such as "mse"; "*": all. `study rank` puts the lowest of them first.
        whole_grid: a metric of codes that asks for every combination of factors, once each, whatever rows are asked about:
            a protocol that queries the data set. An instance may set it.
        matrix: numbers (rows, columns), most of them in [0, 1], that say more than those of `compute`, which sets it on the
            instance; `evaluate` makes a picture of them. NaN where there is nothing to say.
    """

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec
    needs: ClassVar[Literal["codes", "run", "runs"]]
    modes: ClassVar[tuple[Mode, ...]] = ("represent",)
    supervised: ClassVar[bool] = True
    protocol: ClassVar[str]
    on_request: ClassVar[str] = ""
    absent: ClassVar[Mapping[str, str]] = {}
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    whole_grid: bool = False
    matrix: np.ndarray | None = None

    @abstractmethod
    def __init__(self, spec: ComponentSpec) -> None: ...

    @abstractmethod
    def compute(self, *subject: Any) -> dict[str, float]:
        """The numbers, keyed `metric.field`. Called without gradients; a metric that needs them turns them on.

        A metric of several runs may add what is each run's own, as `metric.field_0`, `metric.field_1`, ... in their order.
        """

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """What the numbers show that a reader should be told, a sentence each, such as "3 of 12 dimensions have collapsed".

        Args:
            numbers: what `compute` gave.
        """
        return []
