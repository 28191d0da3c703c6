"""What every trained component is: a module built from its spec and from what is known only at build time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from aerepr.errors import ShapeError
from aerepr.kinds.dataset import DataInfo, TrainingData
from aerepr.kinds.layout import LatentLayout
from aerepr.spec.base import ComponentSpec


@dataclass(frozen=True)
class BuildContext:
    """What a component learns at build time.

    Built in this order, each with what is known by then: likelihood (gives P), posterior (gives K), decoder (gives the
    layout), encoder, prior, regularizers, objective, sampler.
    """

    data: DataInfo
    latent_dim: int
    load: Callable[[str, str], Any] = field(repr=False)
    K: int = 1
    P: int = 1
    _layout: LatentLayout | None = None

    @property
    def layout(self) -> LatentLayout:
        """The latent layout that the decoder declared.

        Raises:
            ShapeError: the decoder is not built yet.
        """
        if self._layout is None:
            raise ShapeError("the latent layout is known only once the decoder is built")
        return self._layout

    def build(self, kind: str, spec: ComponentSpec) -> Any:
        """A nested component of any kind, with the same context."""
        return self.load(kind, spec.name)(spec, self)


class Part(nn.Module):
    """Base of the contracts that are modules; a component derives from its contract, never from this directly.

    Attributes:
        resolved: what a component chose itself from sizes and other settings, such as its depth, by the name it has or would
            have in the spec; set in `__init__` and shown by `check`. Numbers, texts and lists of them.
    """

    Spec: ClassVar[type[ComponentSpec]] = ComponentSpec
    resolved: Mapping[str, object] = MappingProxyType({})

    def setup(self, data: TrainingData) -> None:
        """Called once before step 0 with the training data; what it computes are buffers or initial weights."""
