from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from aerepr.errors import ShapeError, SpecError, UnknownComponent, UsageError
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.sampling.sample import BATCH, choose_sampler, decode, draw, encode


def test_a_seed_gives_the_same_samples_and_another_seed_others(view):
    a, b, c = draw(view, 5, 3, view.sampler), draw(view, 5, 3, view.sampler), draw(view, 5, 4, view.sampler)
    assert torch.equal(a.values, b.values)
    assert torch.equal(a.z, b.z)
    assert not torch.equal(a.z, c.z)


@pytest.mark.parametrize("k", [1, 7, BATCH + 3])
def test_the_first_of_many_are_those_of_few(view, k):
    few, many = draw(view, k, 0, view.sampler), draw(view, 2 * BATCH + 5, 0, view.sampler)
    assert torch.equal(few.noise, many.noise[:k])
    assert torch.equal(few.z, many.z[:k])
    assert_close(few.values, many.values[:k], rtol=0, atol=1e-6)


def test_the_global_generator_is_left_alone(view):
    before = torch.get_rng_state()
    draw(view, 3, 0, view.sampler)
    choose_sampler(view, "gaussian", {}, Registry())
    assert torch.equal(before, torch.get_rng_state())


def test_hybrid_samples_hold_values_of_the_bank_alone(view):
    _, sampler = choose_sampler(view, "hybrid", {"size": 6, "seed": 2}, Registry())
    z = draw(view, 200, 0, sampler).z
    bank = {tuple(code) for code in sampler.bank_SD.tolist()}
    assert bank <= {tuple(code) for code in view.codes.tolist()}
    for variable in view.layout:
        pieces = {tuple(row) for row in z[:, variable.start : variable.stop].tolist()}
        assert pieces == {code[variable.start : variable.stop] for code in bank}
    assert {tuple(row) for row in z.tolist()} - bank  # and combines them


def test_large_and_small_batches_decode_alike(view):
    z = view.codes[: BATCH + 9]
    one_by_one = torch.cat([decode(view, code[None]) for code in z])
    assert_close(decode(view, z), one_by_one, rtol=0, atol=1e-6)
    assert decode(view, z).shape == (BATCH + 9, 1, 16, 16)


def test_nothing_in_nothing_out(view):
    assert decode(view, torch.zeros(0, 4)).shape == (0, 1, 16, 16)
    assert encode(view, torch.zeros(0, 1, 16, 16)).shape == (0, 4)


def test_encode_gives_represent_codes_in_data_units(vectors):
    x = torch.tensor([[11.0, 0.0], [10.0, 5.0], [9.0, -1.0]])
    params = vectors.model.encoder(vectors.model.normalise(x))
    assert_close(encode(vectors, x), vectors.model.posterior(params).mean)


def test_the_run_keeps_its_own_sampler(view):
    spec, sampler = choose_sampler(view, None, {}, Registry())
    assert (spec.name, sampler) == ("hybrid", view.sampler)
    assert choose_sampler(view, "hybrid", {}, Registry())[1] is view.sampler


def test_settings_change_the_own_sampler_where_they_say(view):
    spec, sampler = choose_sampler(view, None, {"unit": "dimension"}, Registry())
    assert (spec.size, spec.unit, sampler.noise_dim) == (32, "dimension", 4)
    assert len(sampler.bank_SD) == 32
    assert not sampler.training


def test_another_sampler_is_fitted_to_the_codes(view):
    _, sampler = choose_sampler(view, "gaussian", {}, Registry())
    assert_close(sampler.mean_D, view.codes.double().mean(dim=0).float())
    z = draw(view, 2000, 0, sampler).z
    assert_close(z.mean(dim=0), view.codes.mean(dim=0), rtol=0, atol=0.1 * float(view.codes.std(dim=0).max()))


def test_a_prior_nothing_was_trained_towards_is_refused(view):
    with pytest.raises(UsageError, match=r"not trained towards a prior.*deterministic.*no regularizers.*hybrid"):
        choose_sampler(view, "prior", {}, Registry())
    own = view.spec.model_copy(update={"sampler": view.spec.sampler.model_copy(update={"name": "prior"})})
    as_own = View(own, view.system, view.sampler, view.info, view.codes, view.gallery)
    with pytest.raises(UsageError, match="not trained towards a prior"):
        choose_sampler(as_own, None, {}, Registry())


def test_the_prior_of_a_vae_is_drawn_from(vectors):
    _, sampler = choose_sampler(vectors, "prior", {}, Registry())
    drawn = draw(vectors, 1000, 0, sampler)
    assert torch.equal(drawn.z, drawn.noise)
    assert abs(float(drawn.z.std()) - 1) < 0.05


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_a_number_of_samples_is_1_or_more(view, n):
    with pytest.raises(UsageError, match="n: expected a whole number of samples, 1 or more"):
        draw(view, n, 0, view.sampler)


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, False])
def test_a_seed_is_a_natural_number(view, seed):
    with pytest.raises(UsageError, match="seed: expected"):
        draw(view, 1, seed, view.sampler)


def test_wrong_names_and_settings(view):
    with pytest.raises(UnknownComponent, match="did you mean"):
        choose_sampler(view, "hybrids", {}, Registry())
    with pytest.raises(SpecError, match="unknown setting"):
        choose_sampler(view, "hybrid", {"sizes": 3}, Registry())


def test_too_few_codes_name_the_sampler(view):
    few = View(view.spec, view.system, view.sampler, view.info, view.codes[:1], view.gallery)
    with pytest.raises(ShapeError, match=r'sampler "gaussian".*at least 2 codes'):
        choose_sampler(few, "gaussian", {}, Registry())
