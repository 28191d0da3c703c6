"""The arithmetic of the probe's components, each against a value or a law known without it.

Shape letters: B batch, D latent dimensions, K positions or transformations.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch
from aerepr_probe.datasets.pinwheel import PinwheelDataset, PinwheelSpec
from aerepr_probe.datasets.sequences import SequenceDataset, SequenceSpec
from aerepr_probe.datasets.squares import SquaresDataset
from aerepr_probe.metrics.mode_gap import ModeGap
from aerepr_probe.objectives.flow import Flow, FlowSpec
from aerepr_probe.ordered_categorical import OrderedCategorical, grid
from aerepr_probe.posteriors.categorical import CategoricalPosterior, CategoricalSpec
from aerepr_probe.priors.pca_normal import PCANormal, PCANormalSpec
from aerepr_probe.priors.uniform_categorical import UniformCategorical
from aerepr_probe.regularizers.tc import TotalCorrelation, TotalCorrelationSpec, permute_columns
from torch import Tensor
from torch.distributions import Exponential, Independent
from torch.distributions.kl import kl_divergence
from torch.testing import assert_close

from aerepr.data.source import DataSource
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, DataInfo
from aerepr.kinds.distributions import has_closed_form, independent_normal, is_factorised
from aerepr.kinds.part import BuildContext
from aerepr.kinds.posterior import Posterior
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Mode, Step
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_system
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec, is_schedulable
from aerepr.spec.data import DatasetSpec
from aerepr.spec.read import read_spec, spec_from_tables

FOLDER = Path(__file__).parent
NOWHERE = DataContext(folder=Path(), cache=Path())
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def context(latent_dim: int = 4, K: int = 2, frames: int = 1, labels: int = 0) -> BuildContext:
    info = DataInfo(
        DataShape.image(1, 16, 16), train_size=192, frames=frames, labels=tuple(str(k) for k in range(labels))
    )
    return BuildContext(data=info, latent_dim=latent_dim, load=Registry().load, K=K)


def step_of(z_BD: Tensor, first_row: int = 0) -> Step:
    rows = torch.arange(first_row, first_row + len(z_BD))
    number = torch.tensor(3)
    batch = Batch(x=torch.zeros(len(z_BD), 1), rows=rows)
    return Step(batch, StepNoise(0, number, rows), number, dataset_size=100, z_BD=z_BD)


# Regularizer: total correlation.


def tc(**fields: object) -> TotalCorrelation:
    return TotalCorrelation(TotalCorrelationSpec(name="probe_tc", width=16, depth=2, **fields), context())


def test_permutation_moves_each_column_by_itself() -> None:
    z_BD = torch.arange(400.0).reshape(100, 4)
    moved_BD = permute_columns(z_BD, torch.rand(100, 4))
    assert_close(moved_BD.sort(dim=0).values, z_BD)
    orders = [(moved_BD[:, column] // 4).tolist() for column in range(4)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_discriminator_optimizer_keeps_its_other_defaults() -> None:
    spec = TotalCorrelationSpec.model_validate({"name": "probe_tc", "optimizer": {"lr": 1e-3}})
    assert (spec.optimizer.lr, spec.optimizer.betas) == (1e-3, (0.5, 0.9))
    assert is_schedulable(type(spec.optimizer), "lr")


def test_adversary_loss_reaches_the_adversary_alone() -> None:
    term = tc()
    z_BD, second_BD = torch.randn(8, 4, requires_grad=True), torch.randn(8, 4, requires_grad=True)
    step = replace(step_of(z_BD), extra=(step_of(second_BD, first_row=50),))
    term.adversary_loss(step).backward()
    assert z_BD.grad is None
    assert second_BD.grad is None
    assert all(parameter.grad is not None for parameter in term.adversary_parameters())


def test_total_correlation_is_the_log_odds_of_the_discriminator() -> None:
    term = tc()
    last = term.discriminator[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.75, 0.5]))
    assert_close(term(step_of(torch.randn(8, 4))), torch.tensor(0.25))


def test_discriminator_learns_a_dependence() -> None:
    term = tc()
    optimizer = torch.optim.Adam(term.adversary_parameters(), lr=1e-2)
    shared, other = torch.randn(512, 1).expand(-1, 4), torch.randn(512, 1).expand(-1, 4)
    step = replace(step_of(shared), extra=(step_of(other, first_row=512),))
    for _ in range(50):
        optimizer.zero_grad()
        term.adversary_loss(step).backward()
        optimizer.step()
    assert term(step) > 1


# Posterior and prior: ordered categorical.


def categorical(scale: float = 1.0, categories: int = 8) -> CategoricalPosterior:
    spec = CategoricalSpec(name="probe_categorical", categories=categories, noise_scale=scale)
    return CategoricalPosterior(spec, context())


def uniform_prior(categories: int = 8) -> UniformCategorical:
    return UniformCategorical(ComponentSpec(name="probe_uniform_categorical"), context(K=categories))


@pytest.mark.parametrize("count", [2, 3, 8, 64])
def test_grid_ends_at_one(count: int) -> None:
    positions_K = grid(count)
    assert (float(positions_K[0]), float(positions_K[-1])) == (-1.0, 1.0)
    assert_close(positions_K.diff(), torch.full((count - 1,), 2 / (count - 1)))


@pytest.mark.parametrize(("scale", "nats"), [(0.0, 0.0), (1e4, 4 * math.log(8))])
def test_rate_of_equal_logits_and_of_one_position(scale: float, nats: float) -> None:
    logits_BDK = scale * torch.nn.functional.one_hot(torch.randint(8, (5, 4)), 8)
    assert_close(kl_divergence(categorical()(logits_BDK), uniform_prior()()), torch.full((5,), nats))


def test_pair_is_factorised_with_a_closed_form() -> None:
    posterior, prior = categorical()(torch.randn(5, 4, 8)), uniform_prior()()
    assert is_factorised(posterior)
    assert is_factorised(prior)
    assert has_closed_form(posterior, prior)
    assert (posterior.batch_shape, posterior.event_shape, prior.event_shape) == ((5,), (4,), (4,))


def test_log_mass_sums_to_one() -> None:
    positions_K = grid(8)
    distribution = OrderedCategorical(torch.randn(5, 4, 8), positions_K)
    mass = torch.stack([distribution.log_prob(position).exp() for position in positions_K]).sum(dim=0)
    assert_close(mass, torch.ones(5, 4))
    assert Independent(distribution, 1).log_prob(torch.zeros(5, 4)).shape == (5,)


def test_moments_are_those_of_the_positions() -> None:
    distribution = OrderedCategorical(torch.zeros(8), grid(8))
    assert_close(distribution.mean, torch.tensor(0.0))
    assert_close(distribution.variance, grid(8).var(correction=0))


def test_sure_logits_are_soft_and_hard_alike() -> None:
    noise = torch.rand(5, 4, 8)
    sure_BDK = 1000 * torch.randn(5, 4, 8)
    assert_close(categorical().draw(sure_BDK, noise, "soft"), categorical().draw(sure_BDK, noise, "hard"))


def test_a_sample_without_noise_is_soft() -> None:
    posterior, noise, logits_BDK = categorical(scale=0.0), torch.rand(5, 4, 8), torch.randn(5, 4, 8)
    assert_close(posterior.draw(logits_BDK, noise, "sample"), posterior.draw(logits_BDK, noise, "soft"))
    assert_close(posterior.draw(logits_BDK, noise, "represent"), posterior(logits_BDK).mean)


def test_samples_follow_the_categorical_as_noise_grows() -> None:
    # The argmax of logits plus standard Gumbel noise is an exact sample; large logits make the softmax that argmax.
    logits_K = torch.randn(8)
    params = (1000 * logits_K).expand(20000, 1, 8)
    posterior = CategoricalPosterior(
        CategoricalSpec(name="probe_categorical", categories=8, noise_scale=1000.0), context(latent_dim=1)
    )
    z_BD = posterior.draw(params, torch.rand(20000, 1, 8).clamp(min=1e-7), "sample")
    assert_close(z_BD.mean(), OrderedCategorical(logits_K, grid(8)).mean, atol=0.02, rtol=0)


def test_hard_codes_are_positions_with_the_gradient_of_the_mean() -> None:
    posterior, noise = categorical(), torch.rand(5, 4, 8)
    logits_BDK = torch.randn(5, 4, 8, requires_grad=True)
    hard_BD = posterior.draw(logits_BDK, noise, "hard")
    assert (hard_BD.unsqueeze(-1) - posterior.positions_K).abs().min(dim=-1).values.max() < 1e-6
    (of_hard,) = torch.autograd.grad(hard_BD.sum(), logits_BDK)
    (of_soft,) = torch.autograd.grad(posterior.draw(logits_BDK, noise, "soft").sum(), logits_BDK)
    assert_close(of_hard, of_soft)


def test_noise_scale_is_a_buffer_a_schedule_may_write() -> None:
    posterior = categorical(scale=0.5)
    assert is_schedulable(CategoricalSpec, "noise_scale")
    assert posterior.noise_scale.shape == ()
    assert posterior.noise_scale.dtype == torch.float32
    logits_BDK, noise = torch.randn(5, 4, 8), torch.rand(5, 4, 8)
    before = posterior.draw(logits_BDK, noise, "sample")
    posterior.noise_scale.fill_(2.0)
    assert not torch.equal(before, posterior.draw(logits_BDK, noise, "sample"))


def test_uniform_prior_takes_each_position_as_often() -> None:
    prior = uniform_prior(categories=4)
    z_BD = prior.from_noise(torch.tensor([[0.1, 0.3, 0.6, 1 - 2.0**-24]]))
    assert_close(z_BD, grid(4).unsqueeze(0))


# Prior: normal with the spectrum of the data.


class Examples:
    """Training data of three directions with standard deviations 1, 4 and 2."""

    def __init__(self) -> None:
        self.info = DataInfo(DataShape.vector(3), train_size=5000)

    def examples(self, count: int) -> Tensor:
        return 7 + torch.randn(min(count, 5000), 3) * torch.tensor([1.0, 4.0, 2.0])

    def batches(self, size: int) -> Iterator[Batch]:
        yield Batch(x=self.examples(size), rows=torch.arange(size))


@pytest.mark.parametrize("learned", [False, True])
def test_spectrum_is_sorted_with_mean_variance_one(learned: bool) -> None:
    prior = PCANormal(PCANormalSpec(name="probe_pca_normal", examples=5000, learned=learned), context(latent_dim=3))
    prior.setup(Examples())
    variance_D = prior().variance
    assert_close(variance_D.mean(), torch.tensor(1.0))
    assert_close(variance_D, 3 * torch.tensor([16.0, 4.0, 1.0]) / 21, atol=0.1, rtol=0)
    assert [key for key, _ in prior.named_parameters()] == (["log_spectrum_D"] if learned else [])
    assert "log_spectrum_D" in prior.state_dict()


def test_normal_prior_has_a_closed_form_and_its_samples() -> None:
    prior = PCANormal(PCANormalSpec(name="probe_pca_normal", learned=True), context(latent_dim=3))
    prior.setup(Examples())
    assert has_closed_form(independent_normal(torch.zeros(5, 3), torch.ones(5, 3)), prior())
    assert_close(prior.from_noise(torch.ones(2, 3)), prior().stddev.expand(2, 3))
    kl_divergence(independent_normal(torch.zeros(5, 3), torch.ones(5, 3)), prior()).mean().backward()
    assert prior.get_parameter("log_spectrum_D").grad.abs().min() > 0


# Objective: flow.


def flow() -> Flow:
    return Flow(FlowSpec(name="probe_flow", width=16), context(frames=4, labels=3))


def test_flow_step_is_the_autograd_velocity() -> None:
    objective = flow().double()
    z_BD, t_B = torch.randn(5, 4, dtype=torch.float64), torch.arange(5, dtype=torch.float64)
    mixture_BK = torch.rand(5, 3, dtype=torch.float64)
    velocity_BD, _ = objective.motion(z_BD, t_B, mixture_BK)
    module, _ = objective.exports()["flow_step"]
    assert_close(module(z_BD, t_B, mixture_BK), z_BD + velocity_BD)


def test_velocity_does_not_need_gradients_switched_on() -> None:
    objective = flow()
    arguments = (torch.randn(5, 4), torch.ones(5), torch.rand(5, 3))
    with torch.no_grad():
        off = objective.motion(*arguments)
    assert_close(off, tuple(tensor.detach() for tensor in objective.motion(*arguments)))


def test_transport_residual_teaches_both_networks() -> None:
    objective = flow()
    _, residual_B = objective.motion(torch.randn(5, 4), torch.ones(5), torch.rand(5, 3))
    residual_B.square().mean().backward()
    for network in (objective.potential, objective.force):
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_flat_potential_moves_nothing() -> None:
    objective = flow()
    with torch.no_grad():
        objective.potential.heights_KH.zero_()
    z_BD, t_B = torch.randn(5, 4), torch.ones(5)
    mixture_BK = torch.eye(3)[torch.randint(3, (5,))]
    velocity_BD, residual_B = objective.motion(z_BD, t_B, mixture_BK)
    force_B = (mixture_BK * objective.force(z_BD, t_B)).sum(dim=-1)
    assert_close(velocity_BD, torch.zeros(5, 4))
    assert_close(residual_B, force_B.square())


def test_flow_step_exports_with_a_free_batch() -> None:
    module, inputs = flow().exports()["flow_step"]
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, inputs, dynamic_shapes=[{0: batch}] * 3).module()
    arguments = (torch.randn(7, 4), torch.ones(7), torch.rand(7, 3))
    assert_close(program(*arguments), module(*arguments))


# Data sets.


def test_squares_have_their_size_and_place() -> None:
    data = SquaresDataset(DatasetSpec(name="probe_squares"), NOWHERE)
    assert len(data) == 192
    image = data.take(data.resident(CPU), torch.tensor([0]))
    assert image.shape == (1, 16, 16, 1)
    assert (image > 0).nonzero()[:, 1:3].tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_sequences_are_fixed_without_noise_and_drawn_with_it() -> None:
    data = SequenceDataset(SequenceSpec(name="probe_sequences"), NOWHERE)
    rows = torch.arange(192)
    raw = data.take(data.resident(CPU), rows)
    fixed, again = data.view(raw, rows, None, None), data.view(raw, rows, None, None)
    assert torch.equal(fixed.x, again.x)
    assert fixed.x.shape == (192, 4, 1, 16, 16)
    assert torch.equal(fixed.first, raw.permute(0, 3, 1, 2) / 255)
    drawn = [data.view(raw, rows, None, StepNoise(0, torch.tensor(number), rows)).label for number in (0, 1)]
    assert not torch.equal(*drawn)
    for label_B in (fixed.label, *drawn):
        assert torch.bincount(label_B, minlength=3).min() > 40


def test_sequences_move_or_grow() -> None:
    data = SequenceDataset(SequenceSpec(name="probe_sequences", length=2), NOWHERE)
    rows = torch.arange(192)
    batch = data.view(data.take(data.resident(CPU), rows), rows, None, None)
    before, after = batch.x[:, 0, 0], batch.x[:, 1, 0]
    for label, moved in enumerate((before.roll(1, dims=2), before.roll(1, dims=1))):
        assert torch.equal(after[batch.label == label], moved[batch.label == label])
    grew = after.sum(dim=(1, 2)) > before.sum(dim=(1, 2))
    assert torch.equal(grew, batch.label == 2)


def test_pinwheel_is_a_function_of_its_seed() -> None:
    def points(seed: int) -> Tensor:
        return PinwheelDataset(PinwheelSpec(name="probe_pinwheel", points_seed=seed), NOWHERE).resident(CPU)

    assert torch.equal(points(0), points(0))
    assert not torch.equal(points(0), points(1))
    assert points(0).shape == (400, 2)
    assert points(0).dtype == torch.float32


# Metric: gap between modes.


class CodesAreDistortion:
    """A model whose distortion is 3 nats for soft codes, 5 for hard ones."""

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior

    def infer(self, step: Step) -> Step:
        nats = torch.full((len(step.batch), 1), {"soft": 3.0, "hard": 5.0}[step.mode])
        return replace(step, likelihood=Independent(Exponential(nats.neg().exp()), 1))


class TwoBatches:
    """A run with two test batches of unlike sizes, all zeros."""

    def __init__(self, posterior: Posterior) -> None:
        self.spec = read_spec(FOLDER / "specs" / "categorical.toml")
        self.model = CodesAreDistortion(posterior)

    def step(self, batch: Batch, mode: Mode) -> Step:
        return replace(step_of(batch.x), batch=batch, mode=mode)

    def evaluated(self) -> Iterator[Batch]:
        yield from (Batch(x=torch.zeros(count, 1), rows=torch.arange(count)) for count in (4, 2))


def test_mode_gap_is_the_difference_of_distortions() -> None:
    numbers = ModeGap(ComponentSpec(name="probe_mode_gap")).compute(TwoBatches(categorical()))
    expected = {"probe_mode_gap.score": 2.0, "probe_mode_gap.soft": 3.0, "probe_mode_gap.hard": 5.0}
    assert numbers == pytest.approx(expected, rel=1e-5)


# The package.


@pytest.mark.parametrize("path", sorted(FOLDER.glob("specs/*.toml")), ids=lambda path: path.stem)
def test_every_learned_parameter_has_a_gradient(path: Path) -> None:
    spec, registry = read_spec(path), Registry()
    source = DataSource(registry.load("dataset", spec.data.name)(spec.data, NOWHERE), spec.data)
    system = build_system(spec, source.info, registry)
    rows, number = torch.arange(16), torch.tensor(0)
    noise = StepNoise(0, number, rows)
    step = Step(source.batch(rows, noise), noise, number, dataset_size=len(source.rows("train")))
    terms, _ = system.losses(replace(step, extra=(system.model.draw(step),) * system.extra_batches))
    torch.stack([term.weighted for term in terms.values()]).sum().backward()
    missing = [
        f"{part}.{name}"
        for part, pairs in system.learned_parameters().items()
        for name, parameter in pairs
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("name", "posterior"), [("Probe-FactorVAE", "gaussian"), ("Probe-Grid-64", "probe_categorical")]
)
def test_recipes_are_whole(name: str, posterior: str) -> None:
    tables = {"model": {"recipe": name, "latent_dim": 4}, "data": {"name": "probe_squares"}, "train": {"steps": 1}}
    assert spec_from_tables(tables).model.posterior.name == posterior


def test_catalogue_lists_what_the_entry_points_announce() -> None:
    catalogue = tomllib.loads((FOLDER / "registry.toml").read_text(encoding="utf-8"))
    listed = {(item["kind"], item["name"]) for item in catalogue["components"]}
    announced = {
        (point.group.removeprefix("aerepr.").removesuffix("s"), point.name)
        for point in distribution("aerepr-probe").entry_points
        if point.group != "aerepr.recipes"
    }
    assert listed == announced
