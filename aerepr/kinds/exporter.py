"""Contract of an exporter: a run to files that other programs run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec


@dataclass(frozen=True)
class Rounding:
    """What weights in fewer bits lose and gain, beside the same file with weights as trained.

    Attributes:
        psnr: of outputs against the eager model's, in dB. full_bytes: size of the file it stands for.
        time_ratio: time of a call with one example over that file's: the median of pairs of calls in turns, on this machine.
    """

    psnr: float
    full_bytes: int
    time_ratio: float


@dataclass(frozen=True)
class Exported:
    """One file written: what it is for, its largest difference from the eager model, and how it is called.

    Attributes:
        max_abs_diff: relative to the range of the values; None for a file that computes nothing, such as a page.
        use: one line for people, such as the call and its arguments.
        rounding: where weights are stored in fewer bits; None: they are as trained.
        graphs: which parts of the run it holds, such as decoder and sampler, if it says so.
    """

    file: str
    purpose: str
    max_abs_diff: float | None
    use: str = ""
    rounding: Rounding | None = None
    graphs: tuple[str, ...] = ()


class Exporter(ABC):
    """Files, verified against the eager model before `write` returns.

    Attributes:
        notice: what whoever chooses the format should be told; empty if nothing.
        requires: exporters whose files this one's make use of; they are asked for with it.
    """

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec
    notice: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, spec: ComponentSpec) -> None: ...

    @abstractmethod
    def write(self, run: RunView, folder: Path) -> list[Exported]:
        """Write into `folder`, which exists and is empty of this exporter's files.

        Raises:
            ExportError: a module cannot be exported, a file does not agree with the eager model, or this machine lacks what
                the format needs. UsageError: the run has no such part.
        """
