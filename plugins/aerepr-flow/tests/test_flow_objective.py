"""The objective against a plain reading of its equations by autograd, its limits, and refused input.

Shape letters: B batch, D latent dimensions, K transformations, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from aerepr_flow.density import StepDivergence
from aerepr_flow.fields import Fields, Point
from aerepr_flow.objectives.flow import FlowObjective
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal
from torch.nn import functional as F
from torch.testing import assert_close

from aerepr.conformance.run import check_component
from aerepr.errors import DataError, ShapeError, SpecError, UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Mode, Step, Terms
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_system
from aerepr.model.check import check
from aerepr.model.system import System
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec

B, D, T = 6, 4, 3
NAMES = ("scale", "rotation", "hue")
K = len(NAMES)
INFO = DataInfo(DataShape.image(3, 8, 8), train_size=60, labels=NAMES, frames=T + 1)
WEAK: dict[str, Any] = {"supervision": "weak", "sequence_encoder": {"name": "mlp", "width": 8}}
RELEASED = {"divergence": "legacy_softmax", "density": "legacy_row_sum", "transport_form": "legacy_batch_mean"}


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def spec_of(latent_dim: int = D, posterior: str = "gaussian", **objective: Any) -> RunSpec:
    model = {
        "latent_dim": latent_dim,
        "encoder": {"name": "mlp", "width": 8},
        "decoder": {"name": "mlp", "width": 8},
        "posterior": {"name": posterior},
        "regularizers": [] if posterior == "deterministic" else [{"name": "kl"}],
        "objective": {"name": "flow", **objective},
    }
    return spec_from_tables({"name": "t", "model": model, "data": {"name": "rooms"}, "train": {"steps": 1}})


def system_of(info: DataInfo = INFO, **objective: Any) -> System:
    """In float64, with potentials that bend enough to matter."""
    found = build_system(spec_of(**objective), info).double()
    with torch.no_grad():
        for parameter in (*objective_of(found).flow.parameters(), *objective_of(found).force.parameters()):
            parameter.mul_(2)
    return found


def objective_of(system: System) -> FlowObjective:
    assert isinstance(system.objective, FlowObjective)
    return system.objective


def step_of(label_B: Tensor | None = None, mode: Mode = "represent") -> Step:
    rows, number = torch.arange(B), torch.tensor(3)
    x = torch.rand(B, T + 1, 3, 8, 8, generator=torch.Generator().manual_seed(7)).double()
    label_B = torch.arange(B) % K if label_B is None else label_B
    return Step(Batch(x, rows, None, label_B, True), StepNoise(0, number, rows), number, 60, mode)


def terms_of(system: System, step: Step) -> Terms:
    return system.losses(step)[0]


def total(terms: Terms) -> Tensor:
    return torch.stack([term.weighted for term in terms.values()]).sum()


# The loss.


def field(fields: Fields, k: int, z_D: Tensor, t: Tensor) -> Tensor:
    networks = fields.networks(torch.tensor([k]))
    return networks.value(z_D[None], networks.shift(t.view(1)))[0, 0]


def by_reading(system: System, step: Step) -> dict[str, Tensor]:
    """The supervised loss with one example at a time, every derivative by autograd, every density by its definition."""
    objective, model = objective_of(system), system.model
    assert objective.divergence is not None
    assert objective.divergence.log_rate_K is not None
    first, label_B = model.infer(step), step.batch.label
    assert label_B is not None
    sums = {
        name: torch.zeros((), dtype=torch.float64) for name in ("distortion", "transport", "initial", "step_divergence")
    }

    for row in range(B):
        k, z_D = int(label_B[row]), first.z_BD[row].detach()
        potential, force = partial(field, objective.flow.potential, k), partial(field, objective.force, k)
        log_q = first.posterior.log_prob(first.z_BD)[row]
        x, zero = step.batch.x[row], torch.zeros((), dtype=torch.float64)
        at_rest_D, _ = torch.autograd.functional.jacobian(potential, (z_D, zero))
        sums["initial"] += at_rest_D.square().sum() + force(z_D, zero).square()
        sums["distortion"] -= model.likelihood(model.decoder(z_D[None])).log_prob(x[:1])[0]
        for number in range(1, T + 1):
            t = torch.tensor(float(number), dtype=torch.float64)
            gradient_D, rate = torch.autograd.functional.jacobian(potential, (z_D, t))
            hessian_DD = torch.autograd.functional.hessian(potential, (z_D, t))[0][0]
            residual = rate + gradient_D.square().sum() / 2 + force(z_D, t).square()
            sums["transport"] += residual.square()
            z_D = z_D + gradient_D
            log_q = log_q - torch.linalg.slogdet(torch.eye(D).double() + hessian_DD).logabsdet
            spread = (1 + 2 * number * objective.divergence.log_rate_K[k].exp()).sqrt()
            log_p = Normal(torch.zeros(D).double(), spread).log_prob(z_D).sum()
            sums["step_divergence"] += log_q - log_p
            sums["distortion"] -= model.likelihood(model.decoder(z_D[None])).log_prob(x[number : number + 1])[0]
    return {name: value / B for name, value in sums.items()}


def test_the_loss_is_the_one_in_the_docs() -> None:
    system, step = system_of(), step_of()
    terms, expected = terms_of(system, step), by_reading(system, step)
    assert list(terms) == ["distortion", "transport", "initial", "step_divergence", "kl"]
    for name, value in expected.items():
        assert_close(terms[name].raw, value, rtol=1e-6, atol=1e-8)
        assert value.abs().item() > 1e-4


def test_a_label_shared_by_the_batch_gives_the_same_loss_and_one_network_learns() -> None:
    system, label_B = system_of(), torch.tensor(1).expand(B)
    shared, single = step_of(label_B), step_of(label_B.clone())
    found, expected = terms_of(system, shared), terms_of(system, single)
    assert_close({n: t.raw for n, t in found.items()}, {n: t.raw for n, t in expected.items()})
    parameters = list(objective_of(system).parameters())
    ours = torch.autograd.grad(total(found), parameters)
    theirs = torch.autograd.grad(total(expected), parameters)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)
        assert a[1].any()
        assert not a[0].any()
        assert not a[2].any()


def test_without_motion_transport_is_the_fourth_power_of_the_force() -> None:
    system = system_of()
    objective, step = objective_of(system), step_of()
    with torch.no_grad():
        objective.flow.potential.height_KD.zero_()
    terms, z_BD = terms_of(system, step), system.model.infer(step).z_BD
    force, label_B = objective.force.networks(), torch.arange(B) % K
    values_TB = torch.stack(
        [
            force.value(z_BD, force.shift(torch.tensor([float(t)]).double()))[label_B, torch.arange(B)]
            for t in range(T + 1)
        ]
    )
    assert_close(terms["transport"].raw, values_TB[1:].pow(4).mean(dim=1).sum())
    assert_close(terms["initial"].raw, values_TB[0].square().mean())


def test_evaluation_needs_no_autograd() -> None:
    system, step = system_of(), step_of()
    assert system.objective.order == 1
    with torch.inference_mode():
        found = {name: term.raw.clone() for name, term in terms_of(system, step).items()}
    assert_close(found, {name: term.raw.detach() for name, term in terms_of(system, step).items()})


@pytest.mark.parametrize("rule", ["exact", "laplacian", "hutchinson", "legacy_row_sum"])
def test_densities_are_those_of_the_loss(rule: str) -> None:
    system, step = system_of(density=rule), step_of()
    objective, first = objective_of(system), system.model.infer(step)
    weights_BK = F.one_hot(torch.arange(B) % K, K).double()
    log_q, log_p = objective.start(first.z_BD, first.posterior, first.prior)
    z_BD, divergence = first.z_BD, torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        for t in range(1, T + 1):
            z_BD, log_q, log_p = objective.densities(z_BD, log_q, log_p, t, weights_BK, first.prior)
            divergence = divergence + (log_q - log_p).mean()
    assert (z_BD.shape, log_q.shape, log_p.shape) == ((B, D), (B,), (B,))
    expected = terms_of(system, step)["step_divergence"].raw
    if rule == "hutchinson":
        assert_close(divergence, expected, rtol=0.2, atol=0.5)
    else:
        assert_close(divergence, expected)


# Divergences.


def normal(size: int = B) -> tuple[Independent, Independent]:
    scale_BD = 0.5 + torch.rand(size, D, dtype=torch.float64)
    loc_BD = torch.randn(size, D, dtype=torch.float64)
    return independent_normal(loc_BD, scale_BD), independent_normal(torch.zeros(D).double(), torch.ones(D).double())


def test_the_marginal_divergence_without_motion_is_the_kl_to_the_diffused_prior() -> None:
    divergence = StepDivergence("marginal", K, T, diffusion=0.3).double()
    posterior, prior = normal(1)
    z_BD = posterior.base_dist.loc + posterior.base_dist.scale * torch.randn(200_000, D, dtype=torch.float64)
    log_q, log_p = divergence.start(z_BD, posterior, prior)
    weights_BK = torch.tensor([[0.0, 1.0, 0.0]]).double().expand(len(z_BD), K)
    log_p = divergence.prior_after(log_p, z_BD, 2, weights_BK, prior)
    after = independent_normal(torch.zeros(D).double(), torch.full((D,), math.sqrt(1 + 2 * 2 * 0.3)).double())
    expected = torch.distributions.kl_divergence(posterior, after)[0]
    assert_close(divergence(log_q, log_p), expected, rtol=0.02, atol=0.01)


def test_the_diffused_prior_solves_the_heat_equation() -> None:
    rate, z = 0.3, torch.tensor(0.7, dtype=torch.float64)

    def density(z: Tensor, t: Tensor) -> Tensor:
        return Normal(torch.zeros(()).double(), (1 + 2 * rate * t).sqrt()).log_prob(z).exp()

    t = torch.tensor(2.0, dtype=torch.float64)
    in_time = torch.autograd.functional.jacobian(lambda t: density(z, t), t)
    in_space = torch.autograd.functional.hessian(lambda z: density(z, t), z)
    assert_close(in_time, rate * in_space)
    divergence = StepDivergence("marginal", 1, T, diffusion=rate).double()
    _, prior = normal()
    log_p = divergence.prior_after(torch.zeros(1), z.view(1, 1), 2, torch.ones(1, 1).double(), prior)
    assert_close(log_p.exp()[0], density(z, t).pow(D), rtol=1e-4, atol=0)


def test_what_the_loss_bounds() -> None:
    # One sequence, many draws of its first code: means are expectations. The likelihoods are sampled from the priors, by nothing that
    # the objective computes. The model is fitted to the sequence, so that its codes say something of it; the flow stays as it is.
    system, count, k = system_of(), 4_000, 1
    objective, model = objective_of(system), system.model

    shown = step_of().batch.x[:1]

    def step_at(at: int, count: int) -> Step:
        rows, number = torch.arange(count), torch.tensor(at)
        batch = Batch(shown.expand(count, -1, -1, -1, -1), rows, None, torch.tensor(k).expand(count), True)
        return Step(batch, StepNoise(0, number, rows), number, 60, "sample")

    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2, fused=True)
    objective.requires_grad_(False)
    for at in range(200):
        fitted = terms_of(system, step_at(at, 8))
        optimizer.zero_grad()
        (fitted["distortion"].raw + fitted["kl"].raw).backward()
        optimizer.step()
    step = step_at(1_000, count)
    x = step.batch.x
    assert objective.divergence is not None
    assert objective.divergence.log_rate_K is not None
    rate = float(objective.divergence.log_rate_K[k].detach().exp())
    networks = objective.flow.potential.networks(torch.tensor([k]))
    with torch.no_grad():
        terms = {name: float(term.raw) for name, term in terms_of(system, step).items()}
        start_BD = torch.randn(count, D, generator=torch.Generator().manual_seed(4)).double()
        z_BD, sequence_B, frames = start_BD, torch.zeros(count).double(), torch.zeros(()).double()
        for t in range(T + 1):
            if t:
                point = networks.at(z_BD, networks.shift(torch.tensor([float(t)]).double()))
                bent = torch.linalg.eigvalsh(torch.eye(D).double() + point.hessian()[0]).min() <= 0
                assert not bent  # what the bounds ask for
                z_BD = z_BD + point.gradient_MBD[0]
            sequence_B += model.likelihood(model.decoder(z_BD)).log_prob(x[:, t])
            diffused_BD = math.sqrt(1 + 2 * rate * t) * start_BD
            log_B = model.likelihood(model.decoder(diffused_BD)).log_prob(x[:, t])
            frames += torch.logsumexp(log_B, dim=0) - math.log(count)
    sequence = torch.logsumexp(sequence_B, dim=0) - math.log(count)
    bound = {w: terms["distortion"] + terms["kl"] + w * terms["step_divergence"] for w in (0, 1 / T, 1)}
    assert terms["step_divergence"] > 0
    assert all(value >= -float(sequence) for value in bound.values())
    assert bound[1] >= -float(frames)
    # Without kl, or without the divergence, it would be none.
    assert terms["distortion"] < -float(sequence)
    assert bound[0] < -float(frames)
    # Near enough to be wrong if a term were counted twice.
    assert bound[0] + float(sequence) < terms["kl"] + 1
    assert bound[1] + float(frames) < terms["kl"] + terms["step_divergence"] + 1


@pytest.mark.parametrize("t", [1, 3])
def test_the_conditional_form_leaves_the_prior_its_own_change(t: int) -> None:
    divergence = StepDivergence("legacy_conditional", K, T, diffusion=0.3).double()
    assert divergence.deviation_KS is not None
    with torch.no_grad():
        divergence.deviation_KS.copy_(torch.rand(K, T - 1) + 0.5)
    posterior, prior = normal()
    z_BD = posterior.mean
    log_q, log_p = divergence.start(z_BD, posterior, prior)
    assert_close(log_q, posterior.log_prob(z_BD))
    weights_BK = F.one_hot(torch.arange(B) % K, K).double()
    found_B = divergence.prior_after(log_p, z_BD + 1, t, weights_BK, prior)
    for row in range(B):
        variance = 1.0 if t == 1 else divergence.deviation_KS[row % K, t - 2].item() ** 2 + 1e-5
        expected = prior.log_prob(z_BD)[row] - D * math.log(1 + 0.3 / variance)
        assert found_B[row].item() == pytest.approx(float(expected))
    assert_close(divergence(log_q, found_B), (log_q - found_B).mean())


def test_the_released_form_is_a_softmax_over_dimensions() -> None:
    divergence = StepDivergence("legacy_softmax", K, T, diffusion=0.3).double()
    assert divergence.log_rate_K is None
    posterior, prior = normal()
    z_BD = posterior.mean + 0.3
    log_q, log_p = divergence.start(z_BD, posterior, prior)
    assert (log_q.shape, log_p.shape) == ((B, D), (B, D))
    assert_close(log_q.sum(dim=-1), posterior.log_prob(z_BD))
    weights_BK = F.one_hot(torch.arange(B) % K, K).double()
    log_p = divergence.prior_after(
        divergence.prior_after(log_p, z_BD, 1, weights_BK, prior), z_BD, 2, weights_BK, prior
    )
    start_BD = prior.base_dist.log_prob(z_BD)
    assert_close(log_p, start_BD - math.log(2) - math.log(1 + 1 / (1 + 1e-5)))
    expected = F.kl_div(log_q.exp().log_softmax(-1), log_p.exp().softmax(-1), reduction="batchmean")
    assert_close(divergence(log_q, log_p), expected)


def test_the_released_transport_has_one_squared_velocity_for_the_batch() -> None:
    system, label_B = system_of(**RELEASED), torch.tensor(2).expand(B)
    step, objective = step_of(label_B), objective_of(system)
    terms, z_BD = terms_of(system, step), system.model.infer(step).z_BD
    potential, force = (fields.networks(torch.tensor([2])) for fields in (objective.flow.potential, objective.force))
    transport = torch.zeros((), dtype=torch.float64)
    for number in range(1, T + 1):
        z_BD, t = z_BD.detach().requires_grad_(), torch.tensor([float(number)]).double().requires_grad_()
        u = potential.value(z_BD, potential.shift(t)).sum()
        gradient_BD, rate_1 = torch.autograd.grad(u, (z_BD, t))
        residual_B = rate_1 + 0.5 * gradient_BD.square().mean() + force.value(z_BD, force.shift(t))[0].square()
        transport = transport + residual_B.square().mean()
        z_BD = z_BD + gradient_BD
    assert_close(terms["transport"].raw, transport.detach())


@pytest.mark.parametrize("objective", [{}, RELEASED, {"divergence": "legacy_conditional"}, {"divergence": "none"}])
def test_every_weight_of_the_objective_learns(objective: dict[str, Any]) -> None:
    system = system_of(**objective)
    total(terms_of(system, step_of(mode="sample"))).backward()
    own = dict(system.objective.named_parameters())
    unreached = [name for name, p in own.items() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()]
    assert unreached == []


# Transformations that are inferred.


def test_a_draw_is_one_hot_with_the_gradient_of_the_softmax() -> None:
    system, step = system_of(**WEAK), step_of(mode="sample")
    objective = objective_of(system)
    gradients = {}
    for temperature in (1.0, 0.2):
        objective.temperature.fill_(temperature)
        mixture, terms = objective._transformation(step)
        values = mixture.weights_MB.detach().unique().tolist()
        assert values == [0.0, 1.0]
        assert (mixture.weights_MB.detach().sum(dim=0) == 1).all()
        cost = (mixture.weights_MB * torch.arange(1.0, K + 1).unsqueeze(-1)).sum()
        (gradients[temperature],) = torch.autograd.grad(cost, [objective.logits.weight])
        assert gradients[temperature].abs().sum() > 0
        assert set(terms) == {"transformation"}
    assert not torch.allclose(gradients[1.0], gradients[0.2])


def test_draws_follow_the_inferred_probabilities() -> None:
    system = system_of(**WEAK)
    objective, count = objective_of(system), 4_000
    rows, number = torch.arange(count), torch.tensor(3)
    with torch.no_grad():
        objective.logits.weight.zero_()
        objective.logits.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
        x = torch.zeros(1, T + 1, 3, 8, 8).double().expand(count, T + 1, 3, 8, 8)
        step = Step(Batch(x, rows, None, None, True), StepNoise(0, number, rows), number, 60, "sample")
        mixture, _ = objective._transformation(step)
        expected_K = objective.infer_weights(x[:1])[0]
    assert_close(mixture.weights_MB.mean(dim=1).double(), expected_K, rtol=0, atol=0.03)


def test_validation_takes_the_likeliest_transformation_and_draws_nothing() -> None:
    system, step = system_of(**WEAK), step_of()
    mixture, _ = objective_of(system)._transformation(replace(step, noise=None))  # type: ignore[arg-type]
    likeliest_B = objective_of(system).infer_weights(step.batch.x).argmax(dim=-1)
    assert mixture.weights_MB.argmax(dim=0).tolist() == likeliest_B.tolist()


def test_the_network_of_transformations_sees_every_frame_as_channels() -> None:
    system = system_of(**{**WEAK, "sequence_encoder": {"name": "flow_conv", "width": 4}})
    objective = objective_of(system)
    assert objective.sequence_encoder is not None
    first = next(module for module in objective.sequence_encoder.modules() if isinstance(module, torch.nn.Conv2d))
    assert first.in_channels == 3 * (T + 1)
    x = torch.rand(B, T + 1, 3, 8, 8).double()
    found_BK = objective.infer_weights(x)
    assert_close(found_BK.sum(dim=-1), torch.ones(B).double())
    x[:, -1] = 1 - x[:, -1]
    assert not torch.allclose(found_BK, objective.infer_weights(x))


def test_what_inference_is_held_against() -> None:
    logits_BK = torch.tensor([[40.0, 0.0, 0.0], [0.0, 40.0, 0.0], [40.0, 0.0, 0.0]]).double()
    drawn_BK, label_B = logits_BK / 40, torch.tensor([0, 1, 2])
    found = {}
    for form in ("uniform", "legacy_agreement", "legacy_label"):
        objective = objective_of(system_of(**WEAK, transformation_form=form))
        found[form] = float(objective._transformation_term(logits_BK, drawn_BK, label_B))
    # Three sure answers; two of three agree; one of three is wrong by 40 nats.
    expected = {"uniform": math.log(3), "legacy_agreement": -math.log(2 / 3), "legacy_label": 40 / 3}
    assert found == pytest.approx(expected, rel=1e-6)
    unsure = objective_of(system_of(**WEAK))._transformation_term(torch.zeros(B, K), torch.zeros(B, K), None)
    assert float(unsure) == pytest.approx(0, abs=1e-6)


def test_weak_terms_teach_the_network_of_transformations() -> None:
    system = system_of(**WEAK)
    terms = terms_of(system, step_of(mode="sample"))
    assert list(terms) == ["distortion", "transport", "initial", "step_divergence", "transformation", "kl"]
    (gradient,) = torch.autograd.grad(terms["distortion"].raw, [objective_of(system).logits.weight])
    assert gradient.any()


# What is not finite.


def test_log_determinants_are_told_apart_by_step_and_transformation(monkeypatch: pytest.MonkeyPatch) -> None:
    system = system_of()
    hessian, seen = Point.hessian, []

    def flat_for_rotation(self: Point) -> Tensor:
        seen.append(1)
        found_MBDD = hessian(self).clone()
        if len(seen) == 2:
            found_MBDD[1] = -torch.eye(D)
        return found_MBDD

    monkeypatch.setattr(Point, "hessian", flat_for_rotation)
    parts = terms_of(system, step_of())["step_divergence"].parts
    assert len(parts) == T * K
    bad = [name for name, value in parts.items() if not value.isfinite()]
    # From there on the density itself is infinite, and the step is the one that is named.
    assert bad == ["log-determinant at t = 2 of k = 1 (rotation)"]


# Bad input.


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"frames": 1}, r"found data of 1 frame\(s\), T = 0, and 3 transformations"),
        ({"labels": ()}, r"found data of 4 frame\(s\), T = 3, and 0 transformations"),
    ],
)
def test_data_without_sequences_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        build_system(spec_of(), replace(INFO, **change))


def test_sequences_without_labels_are_refused_where_labels_are_needed() -> None:
    step = step_of()
    unlabelled = replace(step, batch=replace(step.batch, label=None))
    with pytest.raises(DataError, match="sequences without labels"):
        terms_of(system_of(), unlabelled)
    with pytest.raises(DataError, match='"legacy_label" found sequences without labels'):
        terms_of(system_of(**WEAK, transformation_form="legacy_label"), unlabelled)
    terms_of(system_of(**WEAK), unlabelled)


def test_an_odd_latent_is_refused() -> None:
    with pytest.raises(SpecError, match=r"model\.objective .*found a latent of 5 dimensions, expected an even number"):
        build_system(spec_of(latent_dim=5), INFO)


def test_exact_log_determinants_of_a_large_latent_are_told_their_cost() -> None:
    with pytest.raises(
        SpecError, match=r'"exact" of 324 latent dimensions takes 0\.68 GFLOP for each.*exact_limit = 324'
    ):
        build_system(spec_of(latent_dim=324), INFO)
    with torch.device("meta"):
        for objective in ({"exact_limit": 324}, {"density": "laplacian"}, {"divergence": "none"}):
            build_system(spec_of(latent_dim=324, **objective), INFO)


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        ({"supervision": "weak"}, 'supervision = "weak" with no sequence_encoder'),
        ({"sequence_encoder": {"name": "mlp"}}, "a sequence_encoder that nothing uses"),
        ({"divergence": "legacy_softmax"}, 'use density = "legacy_row_sum"'),
        ({"temperature": 0.0}, "greater than 0"),
        ({"density": "row_sum"}, "exact"),
    ],
)
def test_settings_that_do_not_agree_are_refused(objective: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        spec_of(**objective)


def problems(posterior: str = "gaussian", **objective: Any) -> dict[str, str]:
    report = check(spec_of(posterior=posterior, **objective), INFO)
    return {problem.path: problem.message for problem in report.problems}


def test_a_posterior_without_a_density_is_refused_where_one_is_followed() -> None:
    assert problems() == {}
    assert problems(**WEAK) == {}
    assert "needs the density of q(z|x)" in problems("deterministic")["model.objective"]
    assert problems("deterministic", divergence="none") == {}


def test_a_prior_that_is_not_normal_does_not_diffuse() -> None:
    posterior, _ = normal()
    prior: Distribution = Independent(Laplace(torch.zeros(D), torch.ones(D)), 1)
    with pytest.raises(ShapeError, match='"marginal" lets a normal prior diffuse'):
        StepDivergence("marginal", K, T, 0.1).start(posterior.mean, posterior, prior)


def test_questions_that_the_objective_cannot_answer_are_refused() -> None:
    objective = objective_of(system_of(divergence="none"))
    with pytest.raises(UsageError, match='supervision = "supervised"'):
        objective.infer_weights(torch.zeros(B, T + 1, 3, 8, 8).double())
    with pytest.raises(UsageError, match='divergence = "none" follows no densities'):
        objective.densities(*[torch.zeros(B, D)] * 3, 1, torch.zeros(B, K), normal()[1])


# The contract.


@pytest.mark.parametrize("example", [None, {**WEAK, **RELEASED}, {**WEAK, "density": "hutchinson", "probes": 2}])
def test_conforms(example: dict[str, Any] | None) -> None:
    results = check_component("objective", "flow", Registry(), example=example)
    assert [f"{result.check}: {result.message}" for result in results if result.failed] == []


def test_given_transformations_conform() -> None:
    results = check_component("objective", "flow", Registry(), example={})
    failed = [f"{result.check}: {result.message}" for result in results if result.failed]
    # What only inference reads changes nothing here; the check ends there, so that the weights it would come to are looked at below.
    assert failed == ["scheduled: writing the buffer temperature changes nothing: read it in every forward pass"]
    system = system_of()
    for name, term in (("transport", "transport"), ("initial", "initial"), ("divergence", "step_divergence")):
        before = terms_of(system, step_of())[term].weighted
        getattr(system.objective, f"{name}_weight").fill_(0.25)
        assert_close(terms_of(system, step_of())[term].weighted, before / 4)
