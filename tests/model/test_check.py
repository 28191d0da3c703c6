"""A spec held against itself before training: what `check` reports, and every mismatch it must find."""

from __future__ import annotations

from math import gcd
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


def chosen(info: DataInfo, *sets: str) -> dict[str, dict[str, Any]]:
    """What encoder and decoder chose themselves, without the rest of a check."""
    with torch.device("meta"):
        system = build_system(spec_from_tables(VAE, sets), info)
    return {part: dict(system.part(part).resolved) for part in ("encoder", "decoder")}  # type: ignore[arg-type]


def test_what_components_chose_themselves_is_shown() -> None:
    assert report(VECTOR, False, "model.decoder={name='structural_mlp',width=16}").resolved == {
        "model.encoder": {"hidden": [16, 8]},
        "model.decoder": {"depth": 4, "layers": [1, 2, 3, 4], "hidden": [16, 32]},
    }
    networks = ("model.encoder={name='conv',width=12}", "model.decoder={name='structural',width=12}")
    of_28 = chosen(DataInfo(DataShape.image(1, 28, 28), train_size=100), *networks)
    assert of_28["encoder"] == {"depth": 12, "halvings": [1, 4], "root": [7, 7], "groups": [4], "hidden": [48, 24]}
    assert of_28["decoder"] == {
        "depth": 12,
        "upsamplings": [10, 12],
        "root": [7, 7],
        "layers": [1, 4, 7, 10],
        "groups": [4],
        "hidden": [12, 24],
    }
    of_64 = chosen(DataInfo(DataShape.image(3, 64, 64), train_size=100), *networks)
    assert of_64["encoder"]["halvings"] == [1, 4, 7, 10, 12]
    assert of_64["decoder"]["upsamplings"] == [2, 4, 7, 10, 12]
    ladder = chosen(IMAGE, "model.encoder={name='ladder',width=8}", "model.decoder={name='ladder',width=8}")
    assert ladder["encoder"]["rungs"] == [3, 6, 9, 12]
    assert ladder["encoder"]["hidden"] == [16, 8]
    assert ladder["decoder"]["rungs"] == [1, 4, 7, 10]
    assert (ladder["decoder"]["features"], ladder["decoder"]["groups"]) == (2, [8, 2])
    adaptive = chosen(IMAGE, "model.decoder={name='adaptive',width=8,layers=6,depth=18}")
    assert adaptive["decoder"]["layers"] == [1, 4, 7, 10, 13, 16]
    assert adaptive["decoder"]["hidden"] == [4, 8, 16]
    assert chosen(IMAGE, "model.decoder={name='conv',width=8}")["decoder"]["hidden"] == [16, 32]


def test_any_component_may_tell_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KL, "resolved", {"samples": 3})
    monkeypatch.setattr(StandardNormal, "resolved", {"mean": 0.0})
    found = report().resolved
    assert found["model.regularizers.kl"] == {"samples": 3}
    assert found["model.prior"] == {"mean": 0.0}
    assert "model.posterior" not in found


SIZES = [(28, 28), (32, 32), (48, 48), (96, 96), (128, 128), (48, 96)]
NETWORKS = [(1, 8, None), (3, 12, 8), (4, 12, 8), (1, 12, 8), (3, 8, None), (4, 8, None)]


@pytest.mark.parametrize(
    ("size", "channels", "width", "depth"),
    [
        # Each size with one network, each network with one size; the other pairs take half a second each.
        pytest.param(size, *network, marks=[] if i == j else [pytest.mark.full], id=f"{size[0]}x{size[1]}-{j}")
        for i, size in enumerate(SIZES)
        for j, network in enumerate(NETWORKS)
    ],
)
def test_sizes_channels_widths_and_depths_compose(
    size: tuple[int, int], channels: int, width: int, depth: int | None
) -> None:
    encoder, decoder = ({"name": name, "width": width} for name in ("conv", "structural"))
    if depth is not None:
        encoder["depth"] = decoder["depth"] = depth
    spec = spec_from_tables(VAE | {"model": VAE["model"] | {"encoder": encoder, "decoder": decoder}})
    found = check(spec, DataInfo(DataShape.image(channels, *size), train_size=100))
    assert found.problems == []
    assert found.shapes["mean"] == [8, channels, *size]
    # The largest number of exact halvings that leaves 2 pixels, and no more than there are published positions.
    most = 6 if depth is None and max(size) > 64 else 5
    halvings = max(h for h in range(most + 1) if all(side % 2**h == 0 and side >> h >= 2 for side in size))
    for part, resizings in (("encoder", "halvings"), ("decoder", "upsamplings")):
        chosen = found.resolved[f"model.{part}"]
        assert chosen["depth"] == (depth or (12 if max(size) <= 64 else 16))
        assert len(chosen[resizings]) == halvings  # type: ignore[arg-type]
        assert chosen["root"] == [side >> halvings for side in size]
        assert chosen["groups"] == [gcd(8, width)]


def test_a_decoder_that_cannot_be_exported_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = MLPDecoder.forward

    def in_pairs(self: MLPDecoder, z_BD: Tensor) -> Tensor:
        return forward(self, z_BD.view(z_BD.shape[0] // 2, 2, -1).flatten(0, 1))

    monkeypatch.setattr(MLPDecoder, "forward", in_pairs)
    found = report(exports=True)
    assert found.problems == []
    assert found.exportable.startswith("no: Constraints violated (batch)! Not all values of batch")
    assert "TORCH_LOGS" not in found.exportable


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
