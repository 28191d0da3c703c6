"""A spec held against itself before training: what `check` reports, and every mismatch it must find."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, StudentT

from aerepr.builtin.decoders.mlp import MLPDecoder
from aerepr.builtin.objectives.elbo import ELBO
from aerepr.builtin.priors.standard_normal import StandardNormal
from aerepr.builtin.regularizers.kl import KL
from aerepr.errors import ShapeError
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_system
from aerepr.model.check import Report, check
from aerepr.spec.read import spec_from_tables

IMAGE = DataInfo(DataShape.image(3, 16, 16), train_size=100)
VECTOR = DataInfo(DataShape.vector(6), train_size=100)

VAE: dict[str, Any] = {
    "model": {
        "latent_dim": 4,
        "encoder": {"name": "mlp", "width": 8},
        "decoder": {"name": "mlp", "width": 8},
        "posterior": {"name": "gaussian"},
        "regularizers": [{"name": "kl"}],
    },
    "data": {"name": "rooms", "size": 16},
    "train": {"steps": 10, "batch_size": 8},
}


def report(info: DataInfo = IMAGE, exports: bool = False, *sets: str) -> Report:
    return check(spec_from_tables(VAE, sets), info, exports=exports)


def test_a_sound_spec_is_described() -> None:
    found = report(exports=True)
    assert found.problems == []
    assert found.layout == [1, 1, 1, 1]
    assert found.shapes == {
        "x": [8, 3, 16, 16],
        "params": [8, 4, 2],
        "z": [8, 4],
        "raw": [8, 3, 16, 16],
        "mean": [8, 3, 16, 16],
    }
    system = build_system(spec_from_tables(VAE), IMAGE)
    assert found.parameters["total"] == sum(p.numel() for p in system.parameters())
    assert found.parameters["trainable"] == found.parameters["encoder"] + found.parameters["decoder"]
    assert found.memory["parameters"] == 16 * found.parameters["total"]
    assert found.memory["activations"] > 8 * 3 * 16 * 16 * 4
    assert found.exportable == "yes"


def problems(info: DataInfo = IMAGE, *sets: str) -> dict[str, str]:
    return {problem.path: problem.message for problem in report(info, False, *sets).problems}


def test_a_density_is_asked_of_a_dirac() -> None:
    found = problems(IMAGE, "model.posterior.name=deterministic")
    assert "needs the density" in found["model.regularizers.kl"]


def test_what_an_objective_needs_is_asked_of_posterior_and_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = ("model.posterior.name=deterministic", "model.regularizers=[]")
    assert problems(IMAGE, *sets) == {}
    monkeypatch.setattr(ELBO, "needs_density", True)
    assert "needs the density" in problems(IMAGE, *sets)["model.objective"]
    assert problems(IMAGE, "model.regularizers=[]") == {}


def test_an_error_of_the_objective_itself_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ShapeError("found this, expected that")

    monkeypatch.setattr(ELBO, "forward", refuse)
    assert problems()["model.objective"] == "found this, expected that"


def test_a_closed_form_is_asked_of_a_pair_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "model.regularizers=[{name='kl',closed_form=true}]"
    assert problems(IMAGE, asked) == {}
    heavy = Independent(StudentT(torch.full((4,), 3.0)), 1)
    monkeypatch.setattr(StandardNormal, "forward", lambda self: heavy)
    found = problems(IMAGE, asked)["model.regularizers.kl"]
    assert 'KL from posterior "gaussian" to prior "standard_normal" has none; priors with one: ' in found
    assert found.count('"standard_normal"') == 1, "what is listed has a closed form"


def test_sizes_a_component_refuses_carry_its_table() -> None:
    found = problems(IMAGE, "model.decoder={name='structural',variables=3,width=8}")
    assert "do not split into 3 equal variables: use 1, 2 or 4" in found["model.decoder"]
    assert "model.decoder" in problems(VECTOR, "model.decoder={name='structural',width=8}")


def test_an_optimizer_without_an_adversary_is_refused() -> None:
    found = problems(IMAGE, "model.regularizers=[{name='kl',optimizer={lr=1e-4}}]")
    assert "no adversary" in found["model.regularizers.kl.optimizer"]


@pytest.mark.parametrize("taken", ["keys", "training", "distortion"])
def test_ids_that_mean_something_else_are_refused(taken: str) -> None:
    assert (
        "set another `id`"
        in problems(IMAGE, f"model.regularizers=[{{name='kl',id='{taken}'}}]")[f"model.regularizers.{taken}"]
    )


def test_micro_batches_are_noted() -> None:
    assert any("one micro-batch at a time" in note for note in report(IMAGE, False, "train.accumulate=2").notes)


def test_a_decoder_of_the_wrong_shape_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = MLPDecoder.forward
    monkeypatch.setattr(MLPDecoder, "forward", lambda self, z: forward(self, z)[:, :2])
    assert "expected (8, 3, 16, 16)" in problems()["model.decoder"]


def test_losses_are_tried_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: KL, step: Any) -> Tensor:
        return step.z_BD @ torch.zeros(9, 9, device=step.z_BD.device)

    monkeypatch.setattr(KL, "forward", broken)
    assert "the losses of one batch fail" in problems()["model.objective"]


def test_a_term_that_is_no_scalar_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KL, "forward", lambda self, step: step.z_BD.sum(dim=1))
    assert '"kl" has shape (4,), expected a scalar' in problems()["model.objective"]


def test_regularizers_an_objective_does_not_take_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ELBO, "regularizers", False)
    assert "takes no regularizers" in problems()["model.regularizers"]


def test_a_phase_in_which_nothing_learns_is_refused() -> None:
    found = problems(IMAGE, 'train.phases=[{steps=5},{steps=5,learn=["posterior","prior"]}]')
    assert list(found) == ["train.phases.1.learn"]
    assert found["train.phases.1.learn"] == (
        "a phase in which nothing learns: no parameters in posterior, prior; parts that have some: encoder, decoder"
    )
    assert problems(IMAGE, 'train.phases=[{steps=5},{steps=5,learn=["prior","decoder"]}]') == {}
    # What a regularizer's adversary learns is no part's.
    assert "train.phases.0.learn" in problems(IMAGE, 'train.phases=[{steps=10,learn=["regularizers"]}]')
