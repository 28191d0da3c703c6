"""The hybrid gap of a model whose hybrids are known to be encoded badly."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from aerepr.builtin.metrics.hybrid_gap import HybridGap, HybridGapSpec
from aerepr.errors import UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.layout import LatentLayout
from aerepr.layers.noise import sample_noise

from ..building import build, context


class Doubled:
    """A run on examples (a, a, c): it keeps the mean of the first two values, shrunk a little, and forgets the third.

    Both dimensions of its codes are that mean, so codes whose dimensions differ are of no example.
    """

    def __init__(self, sizes: list[int], count: int = 40) -> None:
        generator = torch.Generator().manual_seed(0)
        a, c = torch.randn(count, generator=generator), torch.randn(count, generator=generator)
        self.x = torch.stack([a, a, 0.5 * c], dim=1)
        self.layout = LatentLayout.of_sizes(sizes)
        self.codes = self.encode(self.x)
        self.model = SimpleNamespace(
            represent=lambda batch: self.encode(batch.first),
            decoder=self.decode,
            likelihood=SimpleNamespace(mean=torch.neg),
        )

    def encode(self, x: Tensor) -> Tensor:
        return 0.9 * x[:, :2].mean(dim=1, keepdim=True).expand(-1, 2)

    def decode(self, z: Tensor) -> Tensor:
        # The likelihood's mean turns the sign again.
        return -torch.cat([z, 0 * z[:, :1]], dim=1)

    def again(self, x: Tensor) -> Tensor:
        return -self.decode(self.encode(x))

    def samplers(self):
        def fitted(unit):
            sampler = build("sampler", context(latent_dim=2, layout=self.layout), name="hybrid", size=16, unit=unit)
            sampler.fit(self.codes, self.layout, None)
            return sampler

        whole = fitted("variable")
        return {"hybrid_variable": whole, "hybrid_dimension": whole if len(self.layout) == 2 else fitted("dimension")}

    def encoded(self) -> Iterator[SimpleNamespace]:
        for rows in torch.arange(len(self.x)).tensor_split([3, 4]):
            batch = Batch(x=self.x[rows, None], rows=rows, timed=True)
            yield SimpleNamespace(batch=batch, z_BD=self.encode(batch.first))


def numbers(run, seed=0):
    found = HybridGap(HybridGapSpec(name="hybrid_gap", seed=seed)).compute(run)
    assert all(key.startswith("hybrid_gap.") for key in found)
    return {key.removeprefix("hybrid_gap."): value for key, value in found.items()}


def error(run, x):
    return float((x - run.again(x)).square().mean())


def hybrids(run, sampler, seed=0):
    noise = sample_noise(len(run.x), sampler.noise_dim, seed, "uniform")
    return -run.decode(sampler(noise))


def test_errors_are_those_of_the_definition():
    run = Doubled([1, 1])
    found = numbers(run)
    assert found["real"] == pytest.approx(error(run, run.x), rel=1e-6)
    assert found["decoded"] == pytest.approx(error(run, run.again(run.x)), rel=1e-6)
    expected = error(run, hybrids(run, run.samplers()["hybrid_variable"]))
    assert found["hybrid"] == pytest.approx(expected, rel=1e-6)
    assert found["ratio"] == pytest.approx(expected / found["real"], rel=1e-6)
    assert found["difference"] == pytest.approx(expected - found["real"], rel=1e-6)
    assert found["ratio_decoded"] == pytest.approx(expected / found["decoded"], rel=1e-6)
    assert len(found) == 6
    # Dimensions that belong together were torn apart.
    assert found["ratio_decoded"] > 10


def test_variables_that_hold_what_belongs_together_have_no_gap():
    run = Doubled([2])
    found = numbers(run)
    assert found["ratio_decoded"] == pytest.approx(1, abs=0.5)
    assert found["ratio_decoded@dimension"] > 10
    assert found["hybrid@dimension"] == pytest.approx(
        error(run, hybrids(run, run.samplers()["hybrid_dimension"])), rel=1e-6
    )
    assert set(found) == {
        "real",
        "decoded",
        *(
            f"{field}{end}"
            for field in ("hybrid", "ratio", "difference", "ratio_decoded")
            for end in ("", "@dimension")
        ),
    }


def test_a_real_error_may_hide_the_gap():
    # What the decoder cannot make at all is no error of what it made.
    run = Doubled([2])
    assert numbers(run)["ratio"] < 0.2


def test_seeds_and_the_number_of_hybrids():
    run = Doubled([1, 1])
    assert numbers(run, 3) == numbers(run, 3)
    assert numbers(run, 3)["hybrid"] != numbers(run, 4)["hybrid"]
    assert numbers(run, 3)["real"] == numbers(run, 4)["real"]


def test_no_more_than_the_first_thousand_examples_count():
    run = Doubled([1, 1], count=1200)
    found = numbers(run)
    assert found["real"] == pytest.approx(error(run, run.x[:1000]), rel=1e-6)
    run.x = run.x[:1000]
    assert numbers(run) == pytest.approx(found, rel=1e-6)


def test_a_run_without_stored_codes_is_refused():
    run = Doubled([1, 1])
    run.samplers = dict
    with pytest.raises(UsageError, match="keeps no codes"):
        numbers(run)
