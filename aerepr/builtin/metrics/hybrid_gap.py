"""Hybrid gap: how much worse the model reconstructs what it makes of recombined codes than it reconstructs data.

With r = decode(encode(.)), x data and h = decode(z) for hybrid codes z, whose variables come from stored codes of their own
choice each, errors are means over examples and values of (. - r(.))^2:

    real        E (x - r(x))^2
    hybrid      E (h - r(h))^2
    ratio, difference    hybrid / real, hybrid - real
    decoded     E (r(x) - r(r(x)))^2, the error of what is decoded from codes that belong together
    ratio_decoded        hybrid / decoded

An h that is no example of the data is encoded badly. But h comes from the decoder, which makes nothing that it cannot make, so
`ratio` may well be below 1; `ratio_decoded` compares like with like and leaves the recombination alone. Keys that end in
`@dimension` recombine single dimensions, where the latent has variables of several.

Source: hybrid sampling is of Leeb et al. 2023, "Structure by Architecture", section 2.2, whose claim this measures: that
variables may be combined. The measure is aerepr's own.
Shape letters: B batch, N hybrid codes, U noise width, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.sampler import Sampler
from aerepr.layers.noise import sample_noise
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed

# Examples looked at, and hybrid codes, where there are so many examples; and hybrids decoded at once.
_ROWS, _BATCH = 1_000, 64


class HybridGapSpec(ComponentSpec):
    """A metric's table with `name = "hybrid_gap"`."""

    seed: MetricSeed = 0


class HybridGap(Metric):
    """`hybrid_gap.real`, `.decoded`, `.hybrid`, `.ratio`, `.difference`, `.ratio_decoded`, and the last four `@dimension`."""

    Spec = HybridGapSpec
    needs = "run"
    protocol = (
        "mean squared error a value of decoding and encoding again, data as the model sees it; the first 1,000 examples and as "
        "many samples of the hybrid sampler, with the run's own settings where it is the run's own"
    )

    def __init__(self, spec: HybridGapSpec) -> None:
        self.seed = spec.seed

    def compute(self, run: RunView) -> dict[str, float]:
        """The errors of one run."""
        real, decoded = _Mean(), _Mean()
        device = torch.device("cpu")
        for x, z_BD in _first(run, _ROWS):
            once = run.model.likelihood.mean(run.model.decoder(z_BD))
            real.add(x, once)
            decoded.add(once, _again(run, once))
            device = x.device
        found = {"real": real.value, "decoded": decoded.value}
        by_variable, by_dimension = _hybrids(run)
        found |= _compared(self._error(run, by_variable, real.rows, device), found)
        if by_dimension is not by_variable:
            alone = _compared(self._error(run, by_dimension, real.rows, device), found)
            found |= {f"{field}@dimension": value for field, value in alone.items()}
        return {f"hybrid_gap.{field}": value for field, value in found.items()}

    def _error(self, run: RunView, sampler: Sampler, count: int, device: torch.device) -> float:
        """The error of what is decoded from the sampler's codes: those of `aerepr sample` with the same seed."""
        error = _Mean()
        noise_NU = sample_noise(count, sampler.noise_dim, self.seed, sampler.noise).to(run.codes.device)
        for z_BD in sampler(noise_NU).split(_BATCH):
            made = run.model.likelihood.mean(run.model.decoder(z_BD.to(device)))
            error.add(made, _again(run, made))
        return error.value


class _Mean:
    """Mean squared difference over all values of all batches."""

    def __init__(self) -> None:
        self.total, self.rows = 0.0, 0

    def add(self, x: Tensor, again: Tensor) -> None:
        self.total += float((x - again).square().mean(dtype=torch.float64)) * len(x)
        self.rows += len(x)

    @property
    def value(self) -> float:
        return self.total / self.rows


def _hybrids(run: RunView) -> tuple[Sampler, Sampler]:
    """Hybrid samplers of whole variables and of single dimensions, one object where that is the same."""
    samplers = run.samplers()
    if "hybrid_variable" not in samplers:
        raise UsageError('metric "hybrid_gap": this run keeps no codes that a hybrid sampler could recombine')
    return samplers["hybrid_variable"], samplers["hybrid_dimension"]


def _first(run: RunView, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows asked about and their codes, until there are so many; no example beyond them counts."""
    left = rows
    for step in run.encoded():
        yield step.batch.first[:left], step.z_BD[:left]
        left -= len(step.batch)
        if left <= 0:
            return


def _again(run: RunView, x: Tensor) -> Tensor:
    """The reconstruction, all as the model sees it."""
    z_BD = run.model.represent(Batch(x=x, rows=torch.arange(len(x), device=x.device)))
    return run.model.likelihood.mean(run.model.decoder(z_BD))


def _compared(hybrid: float, against: Mapping[str, float]) -> dict[str, float]:
    real, decoded = against["real"], against["decoded"]
    return {
        "hybrid": hybrid,
        "ratio": _ratio(hybrid, real),
        "difference": hybrid - real,
        "ratio_decoded": _ratio(hybrid, decoded),
    }


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else (math.inf if a > 0 else 1.0)
