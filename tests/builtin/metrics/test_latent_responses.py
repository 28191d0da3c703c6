"""Latent responses of maps whose responses are known, and of a run that is such a map."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aerepr.builtin.metrics.latent_responses import LatentResponsesMetric, LatentResponsesSpec, latent_responses
from aerepr.errors import DataError
from aerepr.kinds.batch import Batch

SCALE = np.array([1.0, 0.1, 5.0])


def codes(rows=600):
    return np.random.default_rng(0).normal(size=(rows, 3)) * SCALE


def test_codes_that_come_back_respond_where_they_were_changed():
    found = latent_responses(codes(), lambda z: z)
    np.testing.assert_allclose(np.diag(found.matrix_DD), 1, atol=0.1)
    assert found.matrix_DD[~np.eye(3, dtype=bool)].tolist() == [0] * 6
    assert (found.off_diagonal, found.ratio, found.unseen) == (0, 0, 0)
    assert found.diagonal == pytest.approx(1, abs=0.06)


def test_two_codes_respond_exactly():
    # Each takes the value of the other, never its own: the difference squared is twice the unbiased variance.
    z = np.array([[0.0, 3.0], [1.0, 5.0]])
    found = latent_responses(z, lambda z: z)
    np.testing.assert_allclose(found.matrix_DD, np.eye(2), rtol=1e-12)


def test_a_linear_map_responds_by_its_matrix_in_units_of_the_deviations():
    mixing_DD = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.0, 0.0]])
    z = codes(20_000)
    found = latent_responses(z, lambda z: z @ mixing_DD.T + 7, rows=20_000)
    expected_DD = mixing_DD.T * SCALE[:, None] / SCALE[None, :]
    np.testing.assert_allclose(found.matrix_DD, expected_DD, atol=0.03 * expected_DD.max())
    # The third dimension is not seen in its own response.
    assert found.unseen == 1
    assert found.diagonal == pytest.approx(np.diag(expected_DD).mean(), rel=0.02)
    off = expected_DD[~np.eye(3, dtype=bool)].mean()
    assert found.off_diagonal == pytest.approx(off, rel=0.03)
    assert found.ratio == pytest.approx(found.off_diagonal / found.diagonal)


def test_a_bias_of_re_encoding_is_no_response():
    found = latent_responses(codes(), lambda z: 0 * z + 3)
    assert (found.diagonal, found.off_diagonal, found.unseen) == (0, 0, 3)
    assert found.ratio == np.inf


def test_dimensions_that_do_not_vary_are_left_out():
    z = np.insert(codes(), 1, 0.1, axis=1)
    found = latent_responses(z, lambda z: z)
    assert np.isnan(found.matrix_DD[1]).all()
    assert np.isnan(found.matrix_DD[:, 1]).all()
    assert found.diagonal == pytest.approx(1, abs=0.06)
    with pytest.raises(DataError, match="found 1 dimensions that vary, expected at least 2"):
        latent_responses(np.stack([np.arange(9.0), np.ones(9)], axis=1), lambda z: z)


def test_seeds():
    first, again, other = (latent_responses(codes(), np.tanh, seed=seed).diagonal for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("respond", [lambda z: z[:, :2], lambda z: z * np.nan], ids=["narrow", "nan"])
def test_a_map_that_gives_no_codes_is_refused(respond):
    with pytest.raises(DataError, match="expected finite codes of the same shape"):
        latent_responses(codes(), respond)


class Linear:
    """A run that decodes by a matrix with a logistic mean, and encodes by another."""

    def __init__(self, count: int = 300) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.rand(count, 4, generator=generator)
        self.down = torch.randn(4, 3, generator=generator)
        self.up = torch.randn(3, 4, generator=generator)
        self.model = SimpleNamespace(
            represent=lambda batch: batch.first @ self.down,
            decoder=lambda z: z @ self.up,
            likelihood=SimpleNamespace(mean=torch.sigmoid),
        )

    def encoded(self) -> Iterator[SimpleNamespace]:
        for rows in torch.arange(len(self.x)).split(70):
            batch = Batch(x=self.x[rows, None], rows=rows, timed=True)
            yield SimpleNamespace(batch=batch, z_BD=self.model.represent(batch))


def test_the_responses_of_a_run_are_those_of_its_map():
    run = Linear()
    metric = LatentResponsesMetric(LatentResponsesSpec(name="latent_responses", seed=5))
    expected = latent_responses(
        run.x @ run.down, lambda z: torch.sigmoid(torch.from_numpy(z) @ run.up) @ run.down, seed=5
    )
    np.testing.assert_allclose(metric.responses(run).matrix_DD, expected.matrix_DD, rtol=1e-4)
    numbers = metric.compute(run)
    assert list(numbers) == [f"latent_responses.{field}" for field in ("diagonal", "off_diagonal", "ratio", "unseen")]
    assert numbers["latent_responses.diagonal"] == pytest.approx(expected.diagonal, rel=1e-4)


def test_dimensions_that_are_not_seen_are_said_aloud():
    metric = LatentResponsesMetric(LatentResponsesSpec(name="latent_responses"))
    assert metric.remarks({"latent_responses.unseen": 0.0}) == []
    assert metric.remarks({"latent_responses.unseen": 1.0})[0].startswith("1 dimension is not seen")
    assert metric.remarks({"latent_responses.unseen": 2.0})[0].startswith("2 dimensions are not seen")
    run = Linear()
    run.up[1] = 0
    assert metric.compute(run)["latent_responses.unseen"] == 1
