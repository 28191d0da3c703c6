import pytest
import torch
from torch.testing import assert_close

from ..building import build, context
from .test_mmd import drawn


def legacy_mmd():
    return build("regularizer", context(latent_dim=3), name="legacy_mmd")


def test_it_is_the_loop_with_width_d_over_the_batch_size():
    step = drawn(torch.randn(5, 3))
    z, p = step.z_BD.double(), step.draw_prior("legacy_mmd").double()

    def k(a, b):
        return 3.0 / (3.0 + float(((a - b) ** 2).sum()))

    within = sum(k(z[i], z[j]) + k(p[i], p[j]) for i in range(5) for j in range(5) if i != j) / 20
    cross = sum(k(a, b) for a in z for b in p) / 25
    assert_close(legacy_mmd()(step).item(), (within - 2 * cross) / 5, atol=1e-6, rtol=0)


def test_a_larger_batch_of_the_same_codes_counts_less():
    codes = torch.full((8, 3), 5.0)
    few, many = legacy_mmd()(drawn(codes)), legacy_mmd()(drawn(codes.repeat(32, 1)))
    assert many < few / 25


def test_one_code_is_refused_in_training():
    with pytest.raises(ValueError, match="set train.batch_size to 2 or more"):
        legacy_mmd()(drawn(torch.zeros(1, 3)))
