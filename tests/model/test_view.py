"""What a run offers metrics beside its own model: every sampler that fits it, samples of them, and other runs' models."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from aerepr.errors import RunDirectoryError, ShapeError
from aerepr.registry.registry import Registry
from aerepr.sampling import sample


def test_a_plain_autoencoder_has_every_sampler_but_the_prior(view):
    found = view.samplers()
    assert {"hybrid_variable", "hybrid_dimension", "gaussian"} <= set(found)
    assert not {"prior", "hybrid"} & set(found)
    assert not view.trained_to_prior


def test_a_hybrid_of_the_run_keeps_its_bank_and_takes_both_units(view):
    found = view.samplers()
    assert torch.equal(found["hybrid_variable"].bank_SD, view.sampler.bank_SD)
    assert torch.equal(found["hybrid_dimension"].bank_SD, view.sampler.bank_SD)
    assert (found["hybrid_variable"].noise_dim, found["hybrid_dimension"].noise_dim) == (2, 4)


def test_a_vae_has_its_prior_and_one_hybrid_where_variables_are_dimensions(vectors):
    found = vectors.samplers()
    assert vectors.trained_to_prior
    assert "prior" in found
    assert found["hybrid_variable"] is found["hybrid_dimension"]


def test_samplers_are_those_that_commands_choose(view, vectors):
    _, chosen = sample.choose_sampler(view, "gaussian", {}, Registry())
    assert_close(view.samplers()["gaussian"].state_dict(), chosen.state_dict())
    drawn = torch.cat(list(vectors.draw(vectors.samplers()["prior"], 600, 3)))
    assert_close(drawn, sample.draw(vectors, 600, 3, vectors.sampler).values, rtol=0, atol=1e-5)
    assert [len(batch) for batch in vectors.draw(vectors.sampler, 600, 3)] == [*[64] * 9, 24]


def test_the_generator_is_left_alone(view):
    with torch.random.fork_rng():
        # Another seed than the run's, which fitting starts from.
        torch.manual_seed(view.spec.seed + 1)
        before = torch.get_rng_state()
        view.samplers()
        assert torch.equal(before, torch.get_rng_state())


def test_a_restricted_registry_restricts_samplers(view, monkeypatch):
    registry = Registry()
    monkeypatch.setattr(registry, "names", lambda kind: ["gaussian"])
    monkeypatch.setattr(view.system, "registry", registry)
    assert list(view.samplers()) == ["gaussian"]


def test_another_run_lends_its_model(view, vectors, tiny_run, tiny_vector_run):
    lent = view.model_of(str(tiny_run))
    assert_close(dict(lent.state_dict()), load_file(tiny_run / "model" / "model.safetensors"), rtol=0, atol=0)
    assert_close(lent.encode(view.gallery), view.model.encode(view.gallery))
    with pytest.raises(ShapeError, match="shape vector 2, expected image 1x16x16"):
        view.model_of(str(tiny_vector_run))
    with pytest.raises(RunDirectoryError, match='no run named "absent"'):
        view.model_of("absent")


def test_what_is_evaluated_comes_encoded(view, vectors):
    for run in (view, vectors):
        batches, steps = list(run.evaluated()), list(run.encoded())
        assert [step.batch.rows.tolist() for step in steps] == [batch.rows.tolist() for batch in batches]
        for batch, step in zip(batches, steps, strict=True):
            assert_close(step.z_BD, run.model.represent(batch), rtol=0, atol=0)
            assert_close(step.params_BDK, run.model.encoder(batch.first), rtol=0, atol=0)
            assert step.mode == "represent"
            # Its noise is that of a step over the batch.
            noise = run.step(batch, "sample").noise("posterior", "normal", (2,))
            assert_close(step.noise("posterior", "normal", (2,)), noise, rtol=0, atol=0)
