"""The noise of a seed: known bits, the same in torch, TorchScript and NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from aerepr.export import numpy_noise
from aerepr.layers.noise import sample_noise

SEEDS = [0, 1, 2**32 - 1, 2**32, 0x9E3779B97F4A7C15 >> 1, 2**63 - 1]


def test_seed_zero_gives_the_published_philox_words():
    words = np.array(
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    )  # Random123, kat_vectors: philox4x32 10, all zero
    expected = ((words >> 9) + 0.5) * 2.0**-23
    np.testing.assert_array_equal(numpy_noise.sample_noise(1, 4, 0, "uniform")[0], expected.astype(np.float32))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("width", [1, 4, 6, 13])
@pytest.mark.parametrize("n", [1, 2, 3, 37])
def test_uniform_bits_are_those_of_torch(n: int, width: int, seed: int):
    """Of a few counters, which are computed one at a time, and of many."""
    ours, theirs = (
        numpy_noise.sample_noise(n, width, seed, "uniform"),
        sample_noise(n, width, seed, "uniform").numpy(),
    )
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize("row", [2**31 - 1, 2**31, 2**32 - 1])
def test_high_rows_are_the_same_by_themselves_and_among_many(row: int):
    rows = np.full(numpy_noise.FEW + 1, row)
    many = numpy_noise.rows_noise(rows, 4, 2**40 + 5, "uniform")
    np.testing.assert_array_equal(numpy_noise.rows_noise(rows[:1], 4, 2**40 + 5, "uniform"), many[:1])


@pytest.mark.parametrize("row", [-1, 2**32])
@pytest.mark.parametrize("n", [1, numpy_noise.FEW + 1])
def test_rows_that_have_no_noise_are_refused(n: int, row: int):
    with pytest.raises(ValueError, match=r"rows must be from 0 to 2\^32 - 1"):
        numpy_noise.rows_noise(np.append(np.arange(n - 1), row), 4, 0, "uniform")


@pytest.mark.parametrize("seed", SEEDS)
def test_normals_agree_within_a_millionth(seed: int):
    ours = numpy_noise.sample_noise(5000, 4, seed, "normal")
    np.testing.assert_allclose(ours, sample_noise(5000, 4, seed, "normal").numpy(), rtol=0, atol=1e-6)
    assert abs(ours.mean()) < 0.03
    assert abs(ours.std() - 1) < 0.03


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_scripted_is_eager(law: str):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        scripted = torch.jit.script(sample_noise)
    for seed in SEEDS:
        assert torch.equal(scripted(9, 7, seed, law), sample_noise(9, 7, seed, law))


@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_first_rows_do_not_depend_on_how_many_follow(law: str):
    for n in (0, 1, 2, 7, 33):
        assert torch.equal(sample_noise(100, 5, 11, law)[:n], sample_noise(n, 5, 11, law))
        np.testing.assert_array_equal(
            numpy_noise.sample_noise(100, 5, 11, law)[:n], numpy_noise.sample_noise(n, 5, 11, law)
        )


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    sample_noise(10, 10, 3, "normal")
    assert torch.equal(torch.get_rng_state(), before)
