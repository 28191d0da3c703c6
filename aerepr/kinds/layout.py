"""The latent layout: how the dimensions of z are split, in order, into named variables.

Hybrid sampling draws each variable as one piece; traversals, interventions, exports and reports speak of variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aerepr.errors import ShapeError


@dataclass(frozen=True)
class Variable:
    """Latent dimensions `start` to `stop` (not included) that enter the decoder together."""

    name: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class LatentLayout:
    """Every variable, in order, covering all D dimensions once."""

    variables: tuple[Variable, ...]

    @classmethod
    def of_sizes(cls, sizes: list[int]) -> LatentLayout:
        """Consecutive variables of the given sizes, named z1, z2, ..."""
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return cls(tuple(Variable(f"z{i}", a, a + n) for i, (a, n) in enumerate(zip(starts, sizes, strict=True), 1)))

    @classmethod
    def equal(cls, latent_dim: int, count: int) -> LatentLayout:
        """`count` equal variables.

        Raises:
            ShapeError: they do not divide the latent; lists the counts that do.
        """
        if count < 1 or latent_dim % count:
            options = [str(n) for n in range(1, latent_dim + 1) if latent_dim % n == 0]
            raise ShapeError(
                f"{latent_dim} latent dimensions do not split into {count} equal variables: use {_or(options)}"
            )
        return cls.of_sizes([latent_dim // count] * count)

    @classmethod
    def unstructured(cls, latent_dim: int) -> LatentLayout:
        """Each dimension a variable of its own."""
        return cls.of_sizes([1] * latent_dim)

    def __len__(self) -> int:
        return len(self.variables)

    def __iter__(self) -> Iterator[Variable]:
        return iter(self.variables)

    @property
    def latent_dim(self) -> int:
        return self.variables[-1].stop

    @property
    def sizes(self) -> list[int]:
        return [variable.size for variable in self.variables]


def _or(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"
