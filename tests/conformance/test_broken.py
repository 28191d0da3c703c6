"""Every check finds the one thing that a deliberately broken component does wrong, and no other check does.

The checks that all modules share are tried on encoders, and where the outputs differ in sort on others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ConfigDict, Field, PositiveInt
from torch import Tensor, nn
from torch.distributions import Bernoulli as PlainBernoulli
from torch.distributions import Distribution, Normal

from aerepr.builtin.decoders.mlp import MLPDecoder
from aerepr.builtin.encoders.mlp import MLPEncoder, MLPEncoderSpec
from aerepr.builtin.likelihoods.bernoulli import Bernoulli
from aerepr.builtin.objectives.elbo import ELBO
from aerepr.builtin.posteriors.gaussian import Gaussian, _moments
from aerepr.builtin.priors.standard_normal import StandardNormal
from aerepr.builtin.samplers.gaussian import GaussianSampler
from aerepr.conformance.run import CHECKS, check_component
from aerepr.data.factors import FactorTable
from aerepr.errors import PluginError, ShapeError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataContext, Dataset
from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.logger import Logger
from aerepr.kinds.metric import Metric
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.run import Model, RunView
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Mode, Step, Term, Terms
from aerepr.kinds.traversal import Path as Walk
from aerepr.kinds.traversal import Traversal
from aerepr.layers.exportable import graphs
from aerepr.registry.entrypoints import Entry
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec, Schedulable
from aerepr.spec.data import DatasetSpec
from aerepr.spec.model import RegularizerSpec

BROKEN: list[tuple[str, str, Any]] = []


def broken(kind: str, check: str) -> Callable[[Any], Any]:
    def keep(component: Any) -> Any:
        BROKEN.append((kind, check, component))
        return component

    return keep


class Stub(Registry):
    """The installed components, and one more called `broken`."""

    def __init__(self, kind: str, component: Any) -> None:
        super().__init__()
        self.kind, self.component = kind, component

    def find(self, kind: str, name: str) -> Entry:
        return Entry(kind, name, "", "stub", "0") if name == "broken" else super().find(kind, name)

    def load(self, kind: str, name: str) -> Any:
        if name != "broken":
            return super().load(kind, name)
        if isinstance(self.component, Exception):
            raise self.component
        return self.component


def grows(old: Tensor, count: int) -> Tensor:
    """Another function of a batch of two, which is what a graph is traced on."""
    return old + 1 if count == 2 else old


# Specs.


class Same(Gaussian):
    pass


broken("posterior", "loads")(PluginError("cannot be loaded"))


@broken("posterior", "contract")
class NoContract(nn.Module):
    Spec = ComponentSpec


@broken("posterior", "defaults")
class BadDefault(Same):
    class Spec(ComponentSpec):
        width: PositiveInt = Field(0, description="width")


@broken("posterior", "frozen")
class Thawed(Same):
    class Spec(ComponentSpec):
        model_config = ConfigDict(frozen=False)


@broken("posterior", "unknown_keys")
class Lax(Same):
    class Spec(ComponentSpec):
        model_config = ConfigDict(extra="allow")


@broken("posterior", "descriptions")
class Mute(Same):
    class Spec(ComponentSpec):
        width: int = 3


# Encoder, and what all modules share.


class SmallEncoder(MLPEncoder):
    class Spec(MLPEncoderSpec):
        width: PositiveInt = Field(8, description="small")


@broken("encoder", "builds")
class RefusesBadly(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        raise ValueError("no")


@broken("encoder", "builds")
class FitsNothing(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        raise ShapeError("no")


@broken("encoder", "shape")
class Flat(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(1)


@broken("encoder", "seeded")
class Unseeded(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        with torch.no_grad():
            self.layers[0].bias.add_(np.random.rand())  # noqa: NPY002 - what a careless component does


@broken("encoder", "meta")
class Placed(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.register_buffer("anchor", torch.zeros(1, device="cpu"))


@broken("encoder", "dtype")
class Double(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64))


@broken("encoder", "generator")
class Draws(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1e-3 * torch.rand(())


@broken("encoder", "deterministic")
class Counts(SmallEncoder):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) + self.calls


@broken("encoder", "state")
class Hides(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.hidden = np.random.rand()  # noqa: NPY002 - what a careless component does

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.hidden


@broken("encoder", "scheduled")
class Unscheduled(SmallEncoder):
    class Spec(SmallEncoder.Spec):
        gain: Schedulable = Field(1.0, description="factor")


@broken("encoder", "scheduled")
class Deaf(Unscheduled):
    """The buffer is there, and nothing reads it."""

    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.register_buffer("gain", torch.tensor(spec.gain))


@broken("encoder", "gradients")
class Idle(SmallEncoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.idle = nn.Parameter(torch.zeros(2))


@broken("encoder", "independent")
class Centred(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found - found.mean(dim=0)


@broken("encoder", "export")
class FrozenEncoder(SmallEncoder):
    def forward(self, x: Tensor) -> Tensor:
        return grows(super().forward(x), int(x.shape[0]))


# Decoder.


class SmallDecoder(MLPDecoder):
    class Spec(MLPDecoder.Spec):
        width: PositiveInt = Field(8, description="small")


@broken("decoder", "layout")
class Short(SmallDecoder):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.layout = LatentLayout.unstructured(ctx.latent_dim - 1)


@broken("decoder", "shape")
class FlatDecoder(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        return self.layers(z_BD)[:, :-1]


@broken("decoder", "gradients")
class Blind(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        return super().forward(torch.cat([torch.zeros_like(z_BD[:, :1]), z_BD[:, 1:]], dim=1))


@broken("decoder", "independent")
class CentredDecoder(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        found = super().forward(z_BD)
        return found - found.mean(dim=0)


@broken("decoder", "export")
class FrozenDecoder(SmallDecoder):
    def forward(self, z_BD: Tensor) -> Tensor:
        return grows(super().forward(z_BD), int(z_BD.shape[0]))


# Posterior.


@broken("posterior", "shape")
class NotJoint(Gaussian):
    def forward(self, params_BDK: Tensor) -> Distribution:
        return Normal(*_moments(params_BDK), validate_args=False)


@broken("posterior", "modes")
class Boasts(Gaussian):
    modes = ("sample", "represent", "hard")

    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        if mode == "hard":
            raise NotImplementedError
        return super().draw(params_BDK, noise, mode)


@broken("posterior", "represent")
class Noisy(Gaussian):
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        return super().draw(params_BDK, noise, "sample")


@broken("posterior", "reparameterised")
class Cut(Gaussian):
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        return super().draw(params_BDK.detach(), noise, mode)


@broken("posterior", "gradients")
class Dense(Gaussian):
    def forward(self, params_BDK: Tensor) -> Distribution:
        return super().forward(params_BDK.detach())


@broken("posterior", "independent")
class CentredPosterior(Gaussian):
    def draw(self, params_BDK: Tensor, noise: Tensor, mode: Mode) -> Tensor:
        z_BD = super().draw(params_BDK, noise, mode)
        return z_BD - 0.5 * z_BD.mean(dim=0)


# Prior.


@broken("prior", "shape")
class NotJointPrior(StandardNormal):
    def forward(self) -> Distribution:
        return Normal(self.mean, self.std, validate_args=False)


@broken("prior", "dtype")
class DoublePrior(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN.double()


@broken("prior", "law")
class Wide(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return 1.5 * noise_BN


@broken("prior", "law")
class Entangled(StandardNormal):
    """Each dimension follows the law, and they are not independent."""

    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN[:, :1].expand_as(noise_BN).clone()

    def forward(self) -> Distribution:
        D = len(self.mean)
        shared_DD = torch.eye(D) + 0.5
        deviation_D = shared_DD.square().sum(dim=1).sqrt()
        return torch.distributions.MultivariateNormal(
            self.mean,
            scale_tril=torch.linalg.cholesky(shared_DD @ shared_DD.T / deviation_D.outer(deviation_D)),
            validate_args=False,
        )


@broken("prior", "gradients")
class IdlePrior(StandardNormal):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.idle = nn.Parameter(torch.zeros(2))

    def forward(self) -> Distribution:
        return independent_normal(self.mean, self.std)


@broken("prior", "independent")
class CentredPrior(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return noise_BN - noise_BN.mean(dim=0)


@broken("prior", "export")
class FrozenPrior(StandardNormal):
    def from_noise(self, noise_BN: Tensor) -> Tensor:
        return grows(noise_BN, int(noise_BN.shape[0]))


# Likelihood.


@broken("likelihood", "shape")
class NotSummed(Bernoulli):
    def forward(self, raw: Tensor) -> Distribution:
        return PlainBernoulli(logits=raw, validate_args=False)


@broken("likelihood", "range")
class Unbounded(Bernoulli):
    def mean(self, raw: Tensor) -> Tensor:
        return raw


@broken("likelihood", "gradients")
class Wasteful(Bernoulli):
    P = 2

    def forward(self, raw: Tensor) -> Distribution:
        return super().forward(raw.chunk(2, dim=1)[0])

    def mean(self, raw: Tensor) -> Tensor:
        return super().mean(raw.chunk(2, dim=1)[0])


@broken("likelihood", "independent")
class CentredLikelihood(Bernoulli):
    def mean(self, raw: Tensor) -> Tensor:
        return (super().mean(raw) - 0.3 * super().mean(raw).mean(dim=0)).clamp(0, 1)


@broken("likelihood", "export")
class FrozenLikelihood(Bernoulli):
    def mean(self, raw: Tensor) -> Tensor:
        return super().mean(grows(raw, int(raw.shape[0])))


# Regularizer.


class Square(Regularizer):
    Spec = RegularizerSpec

    def __init__(self, spec: RegularizerSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.weight = spec.weight

    def forward(self, step: Step) -> Tensor:
        return step.z_BD.square().sum(dim=1).mean()


@broken("regularizer", "scalar")
class PerExample(Square):
    def forward(self, step: Step) -> Tensor:
        return step.z_BD.square().sum(dim=1)


@broken("regularizer", "dtype")
class DoubleTerm(Square):
    def forward(self, step: Step) -> Tensor:
        return super().forward(step).double()


@broken("regularizer", "generator")
class DrawsTerm(Square):
    def forward(self, step: Step) -> Tensor:
        return super().forward(step) + torch.rand(())


@broken("regularizer", "gradients")
class CutTerm(Square):
    def forward(self, step: Step) -> Tensor:
        return super().forward(step).detach().requires_grad_()


@broken("regularizer", "order")
class Ordered(Square):
    def forward(self, step: Step) -> Tensor:
        return (step.z_BD.square().sum(dim=1) * torch.arange(len(step.z_BD))).mean()


@broken("regularizer", "weight")
class Weighted(Square):
    def forward(self, step: Step) -> Tensor:
        return self.weight * super().forward(step)


@broken("regularizer", "needs")
class NeedsDensity(Square):
    def forward(self, step: Step) -> Tensor:
        return -step.posterior.log_prob(step.z_BD).mean()


@broken("regularizer", "needs")
class NeedsFactors(Square):
    needs_density = True

    def forward(self, step: Step) -> Tensor:
        return step.posterior.base_dist.stddev.log().sum(dim=1).mean()


@broken("regularizer", "adversary")
class Leaks(Square):
    def __init__(self, spec: RegularizerSpec, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.judge = nn.Linear(ctx.latent_dim, 1)

    def forward(self, step: Step) -> Tensor:
        return self.judge(step.z_BD).mean()

    def adversary_parameters(self) -> list[nn.Parameter]:
        return list(self.judge.parameters())

    def adversary_loss(self, step: Step) -> Tensor:
        return (self.judge(step.z_BD) - 1).square().mean()


# Objective.


@broken("objective", "terms")
class NotReduced(ELBO):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        step = model.infer(step)
        return {"distortion": Term(-step.likelihood.log_prob(step.batch.first)), **regularize(step)}


@broken("objective", "deterministic")
class Ages(ELBO):
    age = 0

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        self.age += 1
        terms = super().forward(model, step, regularize)
        return terms | {"age": Term(terms["distortion"].raw.detach() * self.age)}


@broken("objective", "gradients")
class IdleObjective(ELBO):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.idle = nn.Parameter(torch.zeros(()))


@broken("objective", "order")
class SecondOrder(ELBO):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        terms = super().forward(model, step, regularize)
        z_BD = step.noise("probe", "normal", (model.encoder.numbers[0],)).requires_grad_()
        (slope,) = torch.autograd.grad(model.decoder(z_BD).sum(), z_BD, create_graph=True)
        return terms | {"slope": Term(slope.square().mean())}


@broken("objective", "regularizers")
class Forgets(ELBO):
    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        step = model.infer(step)
        return {"distortion": Term(-step.likelihood.log_prob(step.batch.first).mean())}


class FrozenEntry(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return grows(z, int(z.shape[0]))


@broken("objective", "exports")
class FrozenObjective(ELBO):
    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return {"frozen": (FrozenEntry(), (torch.ones(2, 3),))}


# Sampler.


@broken("sampler", "shape")
class Narrow(GaussianSampler):
    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN)[:, :-1]


@broken("sampler", "state")
class Forgetful(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        super().fit(codes_ND, layout, prior)
        self.least = codes_ND.min()

    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN) + self.least


@broken("sampler", "pure")
class Learns(GaussianSampler):
    def __init__(self, spec: Any, ctx: BuildContext) -> None:
        super().__init__(spec, ctx)
        self.shift = nn.Parameter(torch.zeros(ctx.latent_dim))

    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN) + self.shift


@broken("sampler", "rows")
class CentredSampler(GaussianSampler):
    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN - noise_BN.mean(dim=0))


@broken("sampler", "fit")
class Gathers(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        mean_D = self.mean_D.clone()
        super().fit(codes_ND, layout, prior)
        self.mean_D.add_(mean_D)


@broken("sampler", "apart")
class Clings(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        super().fit(codes_ND, layout, prior)
        self.prior = [prior]

    def forward(self, noise_BN: Tensor) -> Tensor:
        return super().forward(noise_BN) + self.prior[0].mean


@broken("sampler", "refuses")
class Careless(GaussianSampler):
    def fit(self, codes_ND: Tensor, layout: LatentLayout, prior: Prior) -> None:
        self.mean_D.copy_(codes_ND.mean(dim=0))


@broken("sampler", "export")
class FrozenSampler(GaussianSampler):
    def forward(self, noise_BN: Tensor) -> Tensor:
        # Rows stay functions of their own noise at the batch sizes that are compared by `rows`.
        return grows(super().forward(noise_BN), int(noise_BN.shape[0]))


# Traversal.


class Line(Traversal):
    Spec = ComponentSpec

    def __init__(self, spec: ComponentSpec) -> None:
        self.calls = 0

    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        return [Walk("line", base_BD[:1] + torch.linspace(-1, 1, 3)[:, None])]


@broken("traversal", "builds")
class NotBuilt(Line):
    def __init__(self, spec: ComponentSpec) -> None:
        raise ValueError("no")


@broken("traversal", "paths")
class NarrowLine(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        return [Walk("line", base_BD[:, 1:])]


@broken("traversal", "paths")
class AsksForData(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        next(run.batches("test"))
        return super().paths(run, base_BD)


@broken("traversal", "base")
class Overwrites(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        found = super().paths(run, base_BD.clone())
        base_BD.zero_()
        return found


@broken("traversal", "generator")
class DrawsLine(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        return super().paths(run, base_BD + torch.rand(()))


@broken("traversal", "deterministic")
class Wanders(Line):
    def paths(self, run: RunView, base_BD: Tensor) -> list[Walk]:
        self.calls += 1
        return super().paths(run, base_BD + self.calls)


# Data set.


class Grid(Dataset):
    Spec = DatasetSpec

    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        self.shape = DataShape.image(1, 4, 4)
        self.factors = FactorTable.from_grid(("row", "column"), (5, 8))

    def __len__(self) -> int:
        return 40

    def resident(self, device: torch.device) -> Tensor:
        return (torch.arange(40 * 16, device=device) % 251).to(torch.uint8).view(40, 4, 4, 1)


@broken("dataset", "builds")
class NoGrid(Grid):
    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        raise ValueError("no")


@broken("dataset", "rows")
class FloatGrid(Grid):
    def resident(self, device: torch.device) -> Tensor:
        return super().resident(device).float()


@broken("dataset", "take")
class SortedGrid(Grid):
    def take(self, resident: Tensor, rows: Tensor) -> Tensor:
        return resident[rows.sort().values]


@broken("dataset", "view")
class BrightGrid(Grid):
    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Any) -> Batch:
        batch = super().view(raw, rows, factors, noise)
        return Batch(batch.x * 2, rows, factors)


@broken("dataset", "generator")
class DrawsGrid(Grid):
    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Any) -> Batch:
        torch.rand(1)
        return super().view(raw, rows, factors, noise)


@broken("dataset", "view_rows")
class CentredGrid(Grid):
    def view(self, raw: Tensor, rows: Tensor, factors: Tensor | None, noise: Any) -> Batch:
        batch = super().view(raw, rows, factors, noise)
        return Batch((batch.x - batch.x.mean(dim=0)).clamp(0, 1), rows, factors)


@broken("dataset", "factors")
class FewClasses(Grid):
    def __init__(self, spec: DatasetSpec, ctx: DataContext) -> None:
        super().__init__(spec, ctx)
        self.factors = FactorTable(("row", "column"), (5, 7), self.factors.classes, (None, None))


@broken("dataset", "splits")
class Overlaps(Grid):
    def published_splits(self) -> Mapping[str, np.ndarray]:
        return {"train": np.arange(30), "valid": np.arange(29, 35), "test": np.arange(35, 40)}


# Metric.


class Spread(Metric):
    Spec = ComponentSpec
    needs = "codes"
    protocol = "standard deviation of all codes"

    def __init__(self, spec: ComponentSpec) -> None:
        self.calls = 0

    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        return {"broken.score": float(codes_ND.std())}


@broken("metric", "declares")
class Unsaid(Spread):
    protocol = ""


@broken("metric", "numbers")
class OtherKey(Spread):
    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        return {"spread": 1.0}


@broken("metric", "numbers")
class WantsModes(Spread):
    needs = "run"
    modes = ("soft", "hard")


@broken("metric", "generator")
class DrawsMetric(Spread):
    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        return {"broken.score": float(np.random.rand())}  # noqa: NPY002 - what a careless component does


@broken("metric", "deterministic")
class CountsMetric(Spread):
    calls = 0

    def compute(self, codes_ND: np.ndarray, factors_NF: np.ndarray) -> dict[str, float]:
        type(self).calls += 1
        return {"broken.score": float(type(self).calls)}


# Exporter.


class Traces(Exporter):
    """Traces every graph and compares nothing."""

    Spec = ComponentSpec

    def __init__(self, spec: ComponentSpec) -> None: ...

    def write(self, run: RunView, folder: Path) -> list[Exported]:
        found = graphs(run.model, run.sampler, run.codes, run.info.shape.is_image, run.objective.exports())
        for graph in found:
            (folder / f"{graph.name}.txt").write_text(str(graph.module))
        return [Exported(f"{graph.name}.txt", graph.purpose, 0.0) for graph in found]


broken("exporter", "verifies")(Traces)


@broken("exporter", "writes")
class Claims(Traces):
    def write(self, run: RunView, folder: Path) -> list[Exported]:
        return [*super().write(run, folder), Exported("more.txt", "nothing", 0.0)]


# Logger.


class Silent(Logger):
    Spec = ComponentSpec

    def __init__(self, spec: ComponentSpec, folder: Path, step: int) -> None: ...

    def record(self, step: int, values: Mapping[str, float]) -> None: ...

    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None: ...

    def close(self) -> None: ...


@broken("logger", "listens")
class NoPictures(Silent):
    def picture(self, step: int, name: str, image_HWC: np.ndarray) -> None:
        raise NotImplementedError


@broken("logger", "resumes")
class Once(Silent):
    def __init__(self, spec: ComponentSpec, folder: Path, step: int) -> None:
        (folder / "log").mkdir()


@broken("logger", "generator")
class DrawsLogger(Silent):
    def close(self) -> None:
        torch.rand(1)


@pytest.mark.parametrize(
    ("kind", "check", "component"),
    [pytest.param(*item, id=f"{item[0]}-{item[1]}-{i}") for i, item in enumerate(BROKEN)],
)
def test_only_the_check_meant_for_it_fails(kind: str, check: str, component: Any):
    results = check_component(kind, "broken", Stub(kind, component))
    failed = {result.check: result.message for result in results if result.failed}
    assert list(failed) == [check], failed
    assert failed[check]


SHARED = {check.name for check in CHECKS["encoder"]}


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_has_a_component_that_fails_it(kind: str):
    tried = {check for found, check, _ in BROKEN if found == kind}
    assert {check.name for check in CHECKS[kind]} - tried - SHARED == set()


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("encoder", SmallEncoder),
        ("decoder", SmallDecoder),
        ("regularizer", Square),
        ("traversal", Line),
        ("dataset", Grid),
        ("metric", Spread),
        ("logger", Silent),
    ],
)
def test_what_the_broken_ones_derive_from_is_whole(kind: str, component: Any):
    assert [r for r in check_component(kind, "broken", Stub(kind, component)) if not r.passed] == []
