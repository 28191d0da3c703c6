"""One step as objectives and regularizers see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.batch import Batch

if TYPE_CHECKING:
    from aerepr.kinds.prior import Prior

P = ParamSpec("P")
T = TypeVar("T")

Law = Literal["uniform", "normal"]

# How a posterior turns its parameters into a code. Only `sample` is random. `represent` is the code that metrics and
# banks use. Where a relaxation exists, `soft` is its noise-free value and `hard` the nearest unrelaxed one.
Mode = Literal["sample", "represent", "soft", "hard"]


class Noise(Protocol):
    """Counter-based noise, a function of (seed, step, name, global row): never of the global generator."""

    def __call__(self, name: str, law: Law, shape: tuple[int, ...], per: Literal["row", "batch"] = "row") -> Tensor:
        """Noise of shape (B, *shape), one draw a row, or (*shape,) when `per` is "batch".

        Args:
            name: tells uses apart; the same name in the same step gives the same numbers.
            law: uniform on the open interval (0, 1), or standard normal.
        """

    def scoped(self, name: str) -> Noise:
        """The same noise with names of its own: what one user draws cannot coincide with another's."""


@dataclass(frozen=True)
class Step:
    """A batch and, once `model.infer` has run, everything computed from it.

    Attributes:
        batch: the data.
        noise: this step's noise for this batch.
        number: global step, int64, 0-dim, on the device (so that a captured step can be replayed).
        dataset_size: rows of the training data in use.
        mode: how codes are drawn: `sample` in training, `represent` in validation.
        params_BDK: the encoder's output. posterior, prior, likelihood: distributions. z_BD: the code drawn.
        prior_map: the model's prior itself, of which `draw_prior` asks codes.
        raw: the decoder's output.
        extra: further batches of the same step for regularizers that ask for them (`extra_batches`): encoded, without
            gradient to the encoder, and not decoded. In training their rows are drawn apart; in validation they are
            the rows of the batch.
        known: what `once` has computed; copies of a step share it.
    """

    batch: Batch
    noise: Noise
    number: Tensor
    dataset_size: int
    mode: Mode = "sample"
    params_BDK: Tensor = None  # type: ignore[assignment]  # filled by `model.infer`
    posterior: Distribution = None  # type: ignore[assignment]
    prior: Distribution = None  # type: ignore[assignment]
    prior_map: Prior = None  # type: ignore[assignment]
    z_BD: Tensor = None  # type: ignore[assignment]
    raw: Tensor = None  # type: ignore[assignment]
    likelihood: Distribution = None  # type: ignore[assignment]
    extra: tuple[Step, ...] = ()
    known: dict[tuple[object, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed by the first regularizer of a step that asks for it, for all that do.

        The very same arguments are the same question, so a copy of the step with another code or posterior asks anew.

        Args:
            function: of its arguments alone; it draws nothing. args, kwargs: tensors, distributions, settings.
        """
        # A result without gradients must not serve where they are wanted. Keys hold their objects, so ids stay theirs.
        key = (function, torch.is_grad_enabled(), *args, *kwargs.items())
        if key not in self.known:
            self.known[key] = function(*args, **kwargs)
        found: T = self.known[key]
        return found

    def draw_prior(self, name: str) -> Tensor:
        """Codes (B, D) of the prior, one a row of the batch, from this step's noise of that name."""
        return self.prior_map.from_noise(self.noise(name, self.prior_map.noise, (self.prior_map.noise_dim,)))


class Term(NamedTuple):
    """One named part of the loss, in nats an example where it is a likelihood or a rate, and its weight in the total.

    Attributes:
        parts: what the term is made of that may stop being finite, 0-dim, by what an error should call it. Training that
            ends on this term names the first of them that is not finite; they are not logged.
    """

    raw: Tensor
    weight: Tensor | float = 1.0
    parts: Mapping[str, Tensor] = MappingProxyType({})

    @property
    def weighted(self) -> Tensor:
        return self.raw * self.weight


Terms = dict[str, Term]
