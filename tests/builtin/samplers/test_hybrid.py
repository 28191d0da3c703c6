import pytest
import torch
from torch.testing import assert_close

from aerepr.errors import ShapeError
from aerepr.kinds.layout import LatentLayout
from aerepr.layers.noise import sample_noise

from ..building import assert_exports, build, context

PAIRS = LatentLayout.of_sizes([2, 2])


def hybrid(codes_ND, layout=PAIRS, **table):
    sampler = build("sampler", context(latent_dim=codes_ND.shape[1], layout=layout), name="hybrid", **table)
    sampler.fit(codes_ND, layout, None)
    return sampler


def known_codes():
    # Both dimensions of a variable carry its class; the second variable's class is a function of the first's.
    first = torch.tensor([0.0, 0.0, 1.0, 2.0])
    second = 10 + first
    return torch.stack([first, -first, second, -second], dim=1)


def every_choice(sampler):
    """Codes for all combinations of bank rows, each met once, through noise at the middle of every cell."""
    cells = (torch.arange(int(sampler.count)) + 0.5) / sampler.count
    return sampler(torch.cartesian_prod(*[cells] * sampler.noise_dim).reshape(-1, sampler.noise_dim))


def test_marginals_are_those_of_the_bank_and_variables_are_independent():
    codes = known_codes()
    z = every_choice(hybrid(codes, size=4))
    table = torch.zeros(3, 3)
    table.index_put_((z[:, 0].long(), z[:, 2].long() - 10), torch.ones(16), accumulate=True)
    marginal = torch.tensor([2.0, 1.0, 1.0]) / 4
    assert_close(table / 16, marginal[:, None] * marginal[None, :])


def test_a_variable_is_drawn_as_one_piece():
    z = every_choice(hybrid(known_codes(), size=4))
    assert torch.equal(z[:, 1], -z[:, 0])
    assert torch.equal(z[:, 3], -z[:, 2])


def test_the_other_unit_draws_every_dimension_alone():
    sampler = hybrid(known_codes(), size=4, unit="dimension")
    assert sampler.noise_dim == 4
    z = every_choice(sampler)
    pairs, counts = z[:, :2].unique(dim=0, return_counts=True)
    assert len(pairs) == 9
    assert_close(counts / 256, torch.tensor([a * b for a in (2, 1, 1) for b in (1, 1, 2)]) / 16)


def test_random_noise_meets_the_exact_expectations():
    sampler = hybrid(known_codes(), size=4)
    z = sampler(sample_noise(40000, 2, 3, "uniform"))
    assert_close(z.mean(0), known_codes().mean(0), rtol=0, atol=0.02)
    covariance = z.T.cov()
    assert_close(covariance[0, 0], known_codes()[:, 0].var(unbiased=False), rtol=0.03, atol=0)
    assert covariance[0, 2].abs() < 0.02
    assert_close(covariance[0, 1], -covariance[0, 0])


def test_the_ends_of_the_noise_are_the_ends_of_the_bank():
    sampler = hybrid(torch.randn(128, 4))
    edge = torch.tensor([[0.0, 0.0], [1 - 2.0**-24, 1.0]])
    assert_close(sampler(edge), sampler.bank_SD[[0, 127]])


def test_the_bank_is_a_choice_without_replacement():
    codes = torch.arange(1000.0)[:, None].expand(1000, 4)
    chosen = hybrid(codes, size=200).bank_SD[:, 0]
    assert len(chosen.unique()) == 200
    assert 400 < chosen.mean() < 600
    assert torch.equal(chosen, hybrid(codes, size=200).bank_SD[:, 0])
    assert not torch.equal(chosen, hybrid(codes, size=200, seed=1).bank_SD[:, 0])


def test_every_code_is_as_likely_to_be_chosen():
    codes = torch.arange(8.0)[:, None].expand(8, 4)
    chosen = torch.cat([hybrid(codes, size=2, seed=seed).bank_SD[:, 0] for seed in range(200)]).long()
    assert (torch.bincount(chosen, minlength=8) / 400 - 1 / 8).abs().max() < 0.05


def test_all_codes_are_used_where_there_are_fewer():
    codes = torch.randn(3, 4)
    sampler = hybrid(codes, size=128)
    assert sampler.count == 3
    z = every_choice(sampler)
    assert {tuple(row) for row in z[:, :2].tolist()} == {tuple(row) for row in codes[:, :2].tolist()}


def test_fitting_again_forgets_the_first_bank():
    sampler = hybrid(torch.randn(128, 4))
    sampler.fit(torch.ones(2, 4), PAIRS, None)
    assert torch.equal(every_choice(sampler), torch.ones(4, 4))
    assert not sampler.bank_SD[2:].any()


def test_a_saved_sampler_loads_into_one_that_is_not_fitted():
    fitted = hybrid(torch.randn(3, 4))
    fresh = build("sampler", context(layout=PAIRS), name="hybrid")
    fresh.load_state_dict(fitted.state_dict())
    noise = torch.rand(5, 2)
    assert torch.equal(fresh(noise), fitted(noise))


def test_no_codes_are_refused():
    with pytest.raises(ShapeError, match="at least 1 code"):
        hybrid(torch.zeros(0, 4))


def test_it_exports():
    assert_exports(hybrid(torch.randn(20, 4), size=16), torch.rand(2, 2), torch.rand(5, 2))
