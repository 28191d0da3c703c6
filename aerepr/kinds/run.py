"""A run as metrics, exporters and traversals see it: the model, its codes and, where at hand, its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from aerepr.kinds.batch import Batch
    from aerepr.kinds.dataset import DataInfo
    from aerepr.kinds.decoder import Decoder
    from aerepr.kinds.encoder import Encoder
    from aerepr.kinds.layout import LatentLayout
    from aerepr.kinds.likelihood import Likelihood
    from aerepr.kinds.objective import Objective
    from aerepr.kinds.posterior import Posterior
    from aerepr.kinds.prior import Prior
    from aerepr.kinds.regularizer import Regularizer
    from aerepr.kinds.sampler import Sampler
    from aerepr.kinds.step import Mode, Step
    from aerepr.spec.run import RunSpec

# Why `RunView.samplers` may lack one that is installed, by name.
LACKING_SAMPLERS = {"prior": "there is no prior that the model was trained towards"}


class Model(Protocol):
    """An autoencoder, composed."""

    @property
    def encoder(self) -> Encoder: ...

    @property
    def posterior(self) -> Posterior: ...

    @property
    def prior(self) -> Prior: ...

    @property
    def decoder(self) -> Decoder: ...

    @property
    def likelihood(self) -> Likelihood: ...

    def infer(self, step: Step) -> Step:
        """The step with parameters, distributions, codes and decoder output filled in."""

    def denormalise(self, x: Tensor) -> Tensor:
        """What the encoder sees, such as the data of a batch, in data units; images are the same in both."""

    def represent(self, batch: Batch) -> Tensor:
        """Codes (B, D) of a batch in `represent` mode."""

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, D) of data in data units, in `represent` mode."""

    def decode(self, z_BD: Tensor) -> Tensor:
        """Decoded examples (B, *shape) in data units."""


class RunView(Protocol):
    """One run. `batches`, and whatever uses it, needs the data set; everything else needs the run directory alone."""

    @property
    def spec(self) -> RunSpec: ...

    @property
    def model(self) -> Model: ...

    @property
    def objective(self) -> Objective: ...

    @property
    def sampler(self) -> Sampler:
        """The spec's sampler, fitted."""

    def samplers(self) -> Mapping[str, Sampler]:
        """Every installed sampler that fits this run, fitted to its codes, by name; its own with its own settings.

        `hybrid` comes as `hybrid_variable` and `hybrid_dimension`, which are one object where each variable is a dimension;
        `prior` is there only if the model was trained towards it.
        """

    def draw(self, sampler: Sampler, count: int, seed: int) -> Iterator[Tensor]:
        """Decoded samples in data units, batch by batch: those that `aerepr sample` makes of this seed."""

    def model_of(self, run: str) -> Model:
        """The model of another finished run, named by its path, on the device of this one.

        Raises:
            RunDirectoryError: there is no such run, it has no model, or a file is damaged.
            ShapeError: it takes data of another shape.
        """

    @property
    def info(self) -> DataInfo: ...

    @property
    def regularizers(self) -> Mapping[str, Regularizer]:
        """The regularizers by id, with their adversaries."""

    @property
    def layout(self) -> LatentLayout: ...

    @property
    def codes(self) -> Tensor:
        """Codes of up to 10,000 training examples in `represent` mode, (N, D)."""

    def step(self, batch: Batch, mode: Mode) -> Step:
        """A step over a batch outside training, with noise of its own, for `model.infer` and the objective."""

    def batches(self, split: Literal["train", "valid", "test"]) -> Iterator[Batch]:
        """The data of a split as the encoder sees it, once, in row order.

        Raises:
            DataError: the data set is not at hand.
        """

    def evaluated(self) -> Iterator[Batch]:
        """The rows a metric is asked about, once, in an order of their own that is the same for every run on this data.

        Raises:
            DataError: the data set is not at hand.
        """

    def encoded(self) -> Iterator[Step]:
        """The batches of `evaluated` with parameters, distributions and codes in `represent` mode, not decoded.

        An evaluation encodes each row once, whatever number of metrics ask: prefer this to `model.represent`.

        Raises:
            DataError: the data set is not at hand.
        """
