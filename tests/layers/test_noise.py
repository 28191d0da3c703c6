import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aerepr.layers.noise import StepNoise, key_of, philox, sample_noise, to_normal, to_uniform, uniforms

ONES = 0xFFFFFFFF

# Known answers of Philox4x32-10, from the authors' Random123 distribution.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_published_words(counter, key, words):
    assert tuple(philox(*(torch.tensor(word) for word in counter), *key).tolist()) == words


def test_uniforms_are_open_and_symmetric():
    low, high = to_uniform(torch.tensor(0)), to_uniform(torch.tensor(ONES))
    assert low == 2.0**-24
    assert high == 1 - 2.0**-24


def test_normals_match_the_inverse_normal_distribution():
    uniform = to_uniform(torch.arange(0, 2**32, 2**14 + 1))
    expected = torch.special.ndtri(uniform.double())
    assert (to_normal(uniform).double() - expected).abs().max() < 2e-6


def test_normals_are_odd():
    uniform = to_uniform(torch.arange(0, 2**31, 2**20 + 7))
    torch.testing.assert_close(to_normal(1 - uniform), -to_normal(uniform), rtol=0, atol=1e-6)


@given(rows=st.integers(1, 20), more=st.integers(0, 20), width=st.integers(1, 9), seed=st.integers(0, 2**63 - 1))
@settings(deadline=None, max_examples=30)
def test_first_rows_do_not_depend_on_how_many_follow(rows, more, width, seed):
    long = sample_noise(rows + more, width, seed, "uniform")
    assert torch.equal(long[:rows], sample_noise(rows, width, seed, "uniform"))


@given(row=st.integers(0, 2**62), step=st.integers(0, 2**31), width=st.integers(1, 6))
@settings(deadline=None, max_examples=30)
def test_a_row_draws_the_same_in_any_batch(row, step, width):
    alone = uniforms(torch.tensor([row]), width, torch.tensor(step), (1, 2))
    among = uniforms(torch.tensor([3, row, 5]), width, torch.tensor(step), (1, 2))
    assert torch.equal(among[1:2], alone)


def test_step_noise_differs_by_name_step_seed_stream_and_row():
    rows = torch.arange(4)

    def draw(seed=0, number=0, stream="train", name="posterior"):
        return StepNoise(seed, torch.tensor(number), rows, stream)(name, "normal", (3,))

    base = draw()
    assert torch.equal(base, draw())
    assert len(base.unique()) == base.numel()
    for other in (draw(seed=1), draw(number=1), draw(stream="view"), draw(name="prior")):
        assert not (base == other).any()


def test_step_noise_shapes():
    noise = StepNoise(0, torch.tensor(0), torch.arange(5))
    assert noise("a", "uniform", (2, 3)).shape == (5, 2, 3)
    assert noise("a", "uniform", ()).shape == (5,)
    assert noise("a", "uniform", (2, 3), per="batch").shape == (2, 3)


def test_batch_noise_is_the_same_on_every_rank():
    left = StepNoise(0, torch.tensor(7), torch.arange(0, 4))("a", "normal", (2,), per="batch")
    right = StepNoise(0, torch.tensor(7), torch.arange(4, 8))("a", "normal", (2,), per="batch")
    assert torch.equal(left, right)


def test_batch_noise_is_not_that_of_a_row():
    noise = StepNoise(0, torch.tensor(7), torch.arange(4))
    assert not torch.equal(noise("a", "uniform", (8,), per="batch"), noise("a", "uniform", (8,))[0])


def test_moments():
    uniform = uniforms(torch.arange(20000), 4, torch.tensor(0), key_of(0, "moments"))
    normal = to_normal(uniform)
    torch.testing.assert_close(uniform.mean(0), torch.full((4,), 0.5), rtol=0, atol=0.01)
    torch.testing.assert_close(normal.T.cov(), torch.eye(4), rtol=0, atol=0.04)
