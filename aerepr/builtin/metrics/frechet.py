"""How far reconstructions, and the samples of every sampler, are from the data: Fréchet distance of an encoder's codes.

    reconstruction, <sampler>:   d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)

between the means and covariances of the codes (of `represent` mode) of data and of what the model made. One encoder judges
all: the run's own, or that of another run, `features`. Samplers are those that fit the run, hybrid per variable
(`hybrid_variable`) and per dimension (`hybrid_dimension`), the prior where the model was trained towards it, and a fitted
Gaussian among them.

It is not FID, which is this distance of one certain network's features. An encoder sees only what it was trained to keep:
a flaw that does not move the codes costs nothing. The run's own encoder shares the blind spots of its decoder and has a
scale of its own, so it compares the samplers of one run; to compare runs, name one encoder for all of them.

Source: Heusel et al. 2017, arXiv:1706.08500, with codes for features.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, PositiveInt
from torch import Tensor

from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import LACKING_SAMPLERS, Model, RunView
from aerepr.kinds.sampler import Sampler
from aerepr.layers.frechet import Moments, frechet_distance
from aerepr.spec.base import ComponentSpec, DataPath
from aerepr.spec.metric import MetricSeed

# What a key without a suffix stands for.
ROWS = 2000


class FrechetSpec(ComponentSpec):
    """Metric `frechet`."""

    features: DataPath | None = Field(
        None, description="the finished run whose encoder judges, by its path; left out: the run's own encoder"
    )
    rows: PositiveInt = Field(ROWS, description="how many rows, and as many samples of each sampler, are compared")
    seed: MetricSeed = 0


class Frechet(Metric):
    """`reconstruction` and a number for each sampler; keys tell of other features and rows than the default."""

    Spec = FrechetSpec
    needs = "run"
    protocol = (
        "squared Frechet distance of Gaussians fitted to codes without noise: 2,000 rows against as many reconstructions or "
        "samples, by the run's own encoder, where the key does not say otherwise; with that, compare samplers, not runs; not FID"
    )
    absent = LACKING_SAMPLERS
    lower_is_better = frozenset({"*"})

    def __init__(self, spec: FrechetSpec) -> None:
        self.features = spec.features
        self.rows = spec.rows
        self.seed = spec.seed

    def compute(self, run: RunView) -> dict[str, float]:
        """The distances of one run to the rows asked about.

        Raises:
            DataError: fewer rows than `rows`, or too few for a covariance. RunDirectoryError, ShapeError: `features` names
                no run that has a model of such data.
        """
        model = run.model
        judge = model if self.features is None else run.model_of(self.features)
        data = Moments.of(self._codes(run, judge), self.rows)
        if data.count < self.rows:
            raise DataError(
                f"frechet: found {data.count} rows, expected {self.rows}: ask for more rows, or compare fewer with "
                f"--set frechet.rows={data.count}"
            )
        least = len(data.mean_F) + 1
        if self.rows < least:
            raise DataError(
                f"frechet: rows = {self.rows} are too few for the covariance of {least - 1} features, expected at least {least}"
            )
        made = Moments.of((judge.encode(model.decode(step.z_BD)) for step in run.encoded()), self.rows)
        found = {"reconstruction": frechet_distance(data, made)}
        known: dict[Sampler, float] = {}
        for name, sampler in run.samplers().items():
            if sampler not in known:
                drawn = Moments.of((judge.encode(x) for x in run.draw(sampler, self.rows, self.seed)), self.rows)
                known[sampler] = frechet_distance(data, drawn)
            found[name] = known[sampler]
        return {f"frechet.{name}{self._suffix}": value for name, value in found.items()}

    def _codes(self, run: RunView, judge: Model) -> Iterator[Tensor]:
        """Of the data, batch by batch."""
        if judge is run.model:
            return (step.z_BD for step in run.encoded())
        return (judge.encode(run.model.denormalise(batch.first)) for batch in run.evaluated())

    @property
    def _suffix(self) -> str:
        """What sets these numbers apart from those of the default protocol."""
        parts = [f"features={Path(self.features).name}"] if self.features is not None else []
        parts += [f"rows={self.rows}"] if self.rows != ROWS else []
        return f"@{','.join(parts)}" if parts else ""
