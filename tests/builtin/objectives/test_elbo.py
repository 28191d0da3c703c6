from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from aerepr.kinds.step import Term
from aerepr.model.autoencoder import Autoencoder

from ..building import bare_step, build, context


def autoencoder(posterior, shape=(3, 8, 8)):
    ctx = context(shape)
    likelihood = build("likelihood", ctx, name="bernoulli")
    q = build("posterior", ctx, name=posterior)
    ctx = replace(ctx, K=q.K)
    decoder = build("decoder", ctx, name="mlp", width=8)
    return Autoencoder(
        build("encoder", ctx, name="mlp", width=8), q, build("prior", ctx, name="standard_normal"), decoder, likelihood
    )


def test_distortion_is_summed_over_values_and_averaged_over_the_batch():
    model, objective = autoencoder("deterministic"), build("objective", context(), name="elbo")
    x = torch.rand(5, 3, 8, 8)
    terms = objective(model, bare_step(x), lambda step: {})
    p = model(x)
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1).mean()
    assert list(terms) == ["distortion"]
    assert_close(terms["distortion"].raw, expected)
    assert terms["distortion"].weight == 1


def test_repeating_the_batch_changes_no_term():
    model, objective = autoencoder("deterministic"), build("objective", context(), name="elbo")
    x = torch.rand(3, 3, 8, 8)
    once, twice = (objective(model, bare_step(batch), lambda step: {}) for batch in (x, torch.cat([x, x])))
    assert_close(once["distortion"].raw, twice["distortion"].raw)


def test_regularizers_see_the_filled_step():
    model, objective = autoencoder("gaussian"), build("objective", context(), name="elbo")
    rate = build("regularizer", context(), name="kl")
    terms = objective(model, bare_step(torch.rand(4, 3, 8, 8)), lambda step: {"kl": Term(rate(step), 2.0)})
    assert list(terms) == ["distortion", "kl"]
    assert_close(terms["kl"].weighted, 2 * terms["kl"].raw)


@pytest.mark.parametrize(("mode", "same"), [("sample", False), ("represent", True)])
def test_codes_are_drawn_in_the_mode_of_the_step(mode, same):
    model, objective = autoencoder("gaussian"), build("objective", context(), name="elbo")
    x = torch.rand(4, 3, 8, 8)
    step = bare_step(x, mode=mode)
    distortion = objective(model, step, lambda step: {})["distortion"].raw
    mean = -model.likelihood(model.decoder(model.encode(x))).log_prob(x).mean()
    assert torch.equal(distortion, mean) is same


def test_a_frame_of_a_sequence_is_what_is_reconstructed():
    model, objective = autoencoder("deterministic"), build("objective", context(), name="elbo")
    x = torch.rand(2, 4, 3, 8, 8)
    still = objective(model, bare_step(x[:, 0]), lambda step: {})["distortion"].raw
    step = bare_step(x)
    timed = objective(model, replace(step, batch=replace(step.batch, timed=True)), lambda step: {})["distortion"].raw
    assert_close(timed, still)


def test_a_weight_changes_the_gradient():
    model, objective = autoencoder("gaussian"), build("objective", context(), name="elbo")
    rate, step = build("regularizer", context(), name="kl"), bare_step(torch.rand(4, 3, 8, 8))

    def gradient(weight):
        terms = objective(model, step, lambda step: {"kl": Term(rate(step), weight)})
        return torch.autograd.grad(sum(term.weighted for term in terms.values()), model.encoder.layers[0].weight)[0]

    assert not torch.allclose(gradient(0.0), gradient(1.0))
