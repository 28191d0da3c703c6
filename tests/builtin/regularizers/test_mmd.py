from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import Dirac
from aerepr.kinds.shape import DataShape
from aerepr.model.check import check
from aerepr.spec.read import spec_from_tables

from ..building import bare_step, build, context


def mmd(latent_dim=3, **table):
    return build("regularizer", context(latent_dim=latent_dim), name="mmd", **table)


def drawn(z_BD):
    """A step of codes of a posterior without a density, towards a standard normal."""
    prior = build("prior", context(latent_dim=z_BD.shape[1]), name="standard_normal")
    filled = {"z_BD": z_BD, "posterior": Dirac(z_BD), "prior": prior(), "prior_map": prior}
    return bare_step(torch.zeros(len(z_BD), 1), **filled)


def test_it_is_the_loop_over_pairs_with_the_width_of_the_prior():
    z, step = torch.randn(5, 3).double(), drawn(torch.randn(5, 3))
    step = replace(step, z_BD=z)
    p = step.draw_prior("mmd").double()

    def k(a, b):
        # 2 D, the mean squared distance of two codes of N(0, I); D is 3.
        return 6.0 / (6.0 + float(((a - b) ** 2).sum()))

    within = sum(k(z[i], z[j]) + k(p[i], p[j]) for i in range(5) for j in range(5) if i != j) / 20
    cross = sum(k(a, b) for a in z for b in p) / 25
    assert_close(mmd()(step).item(), within - 2 * cross, atol=1e-6, rtol=0)


def test_the_width_is_the_mean_squared_distance_of_two_codes_of_the_prior():
    step = drawn(torch.zeros(4000, 3))
    distance = (step.draw_prior("a") - step.draw_prior("b")).square().sum(dim=1).mean()
    assert distance.item() == pytest.approx(mmd().widths[0], rel=0.03)


def test_kernels_of_several_scales_are_summed():
    step = drawn(torch.randn(6, 3))
    apart = sum(mmd(scales=[scale])(step) for scale in (0.1, 1.0, 5.0))
    assert_close(mmd(scales=[0.1, 1.0, 5.0])(step), apart)


def test_for_codes_of_the_prior_it_is_zero_in_the_mean():
    found = torch.stack([mmd()(drawn(torch.randn(32, 3))) for _ in range(200)])
    assert found.min() < 0, "an unbiased estimate is at times below zero"
    assert abs(found.mean()) < 4 * found.std() / 200**0.5
    assert found.mean().abs() < 0.1 * mmd()(drawn(torch.randn(32, 3) + 1))


def test_it_draws_codes_towards_the_prior():
    z = (1.5 + 0.1 * torch.randn(64, 2)).requires_grad_()
    before = mmd(2)(drawn(z)).item()
    for _ in range(200):
        (gradient,) = torch.autograd.grad(mmd(2)(drawn(z)), z)
        z = (z - 20 * gradient).detach().requires_grad_()
    assert before > 0.5
    assert mmd(2)(drawn(z)) < 0.02
    assert_close(z.mean(dim=0), torch.zeros(2), atol=0.25, rtol=0)
    assert_close(z.std(dim=0), torch.ones(2), atol=0.25, rtol=0)


def test_one_code_is_refused_in_training_alone():
    with pytest.raises(ValueError, match="set train.batch_size to 2 or more"):
        mmd()(drawn(torch.zeros(1, 3)))
    assert mmd().eval()(drawn(torch.zeros(1, 3))).isfinite()


def test_check_finds_a_batch_of_one_before_training():
    spec = spec_from_tables(
        {
            "model": {
                "latent_dim": 3,
                "encoder": {"name": "mlp"},
                "decoder": {"name": "mlp"},
                "regularizers": [{"name": "mmd"}],
            },
            "data": {"name": "rooms", "size": 16},
            "train": {"steps": 1, "batch_size": 1},
        }
    )
    (problem,) = check(spec, DataInfo(DataShape.image(3, 16, 16), train_size=100)).problems
    assert "set train.batch_size to 2 or more" in problem.message
