"""The engine's update against the same steps written out in plain PyTorch: backward, clip_grad_norm_, the plain optimizers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from aerepr.data.source import DataSource
from aerepr.errors import TrainingError
from aerepr.kinds.step import Step
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_system
from aerepr.model.system import System
from aerepr.registry.registry import Registry
from aerepr.rundir import tensors
from aerepr.spec.read import read_spec
from aerepr.spec.run import RunSpec
from aerepr.training import precision
from aerepr.training.distributed import World
from aerepr.training.update import Update
from aerepr.workflows.assemble import open_source

STEPS = 6
CLIP = 0.9
CPU = torch.device("cpu")

SETS = (
    "train.accumulate=2",
    f"train.clip_norm={CLIP}",
    "train.ema=0.3",
    'model.regularizers=[{name="kl",weight=0.5},'
    '{name="probe_tc",weight=2.0,width=16,depth=2,optimizer={name="sgd",lr=0.1,betas=[0.5,0.0]}}]',
)


class Small:
    """The small problem: spec, data, and as many equal systems as are asked for."""

    def __init__(self, path: Path, *sets: str) -> None:
        registry = Registry()
        self.spec: RunSpec = read_spec(path, sets, registry)
        self.source: DataSource = open_source(self.spec.data, path.parent, registry, CPU)
        self.numerics = precision.resolve(self.spec.train, False, CPU)
        self.registry = registry

    def system(self) -> System:
        return build_system(self.spec, self.source.info, self.registry)

    def update(self, system: System) -> Update:
        return Update(self.spec, system, self.source, self.numerics, World())

    def rows(self, step: int) -> list[list[Tensor]]:
        """Row numbers of two micro-batches and of the extra batch of each."""
        generator = torch.Generator().manual_seed(step)
        rows = torch.randperm(len(self.source.rows("train")), generator=generator)[:64].reshape(2, 2, 16)
        return [list(pair) for pair in torch.from_numpy(self.source.rows("train"))[rows]]


@pytest.fixture
def small(spec: Path) -> Callable[..., Small]:
    return lambda *sets: Small(spec, *sets)


def plain_step(small: Small, rows: Tensor, number: int, stream: str) -> Step:
    """A step of the reference, from the words of the design: noise keyed by (seed, stream) and counted by (step, row)."""
    noise = StepNoise(small.spec.seed, torch.tensor(number), rows, stream)
    return Step(small.source.batch(rows, noise), noise, torch.tensor(number), 140, "sample")


def by_hand(small: Small, system: System) -> dict[str, Any]:
    """All steps in plain PyTorch; the weights' average, and every value as it should be logged."""
    adversary = system.terms["probe_tc"]
    rivals = list(adversary.adversary_parameters())
    learners = [p for p in system.parameters() if all(p is not rival for rival in rivals)]
    optimizer = torch.optim.Adam(learners, lr=3e-3, foreach=False, fused=False)
    # SGD, because Adam hides a factor in the gradient.
    rival = torch.optim.SGD(rivals, lr=0.1, momentum=0.5, foreach=False, fused=False)
    average = [p.detach().clone() for p in learners]
    logged: dict[str, list[float]] = {}
    for number in range(STEPS + 1):
        for parameter in (*learners, *rivals):
            parameter.grad = None
        totals = {"loss/distortion": 0.0, "loss/kl": 0.0, "loss/probe_tc": 0.0, "loss/total": 0.0}
        for index, (rows, second) in enumerate(small.rows(number)):
            stream = ["train", "train1"][index]
            step = plain_step(small, rows, number, stream)
            with torch.no_grad():
                extra = system.model.draw(plain_step(small, second, number, f"{stream}/extra0"))
            terms, seen = system.losses(replace(step, extra=(extra,)))
            total = terms["distortion"].raw + 0.5 * terms["kl"].raw + 2.0 * terms["probe_tc"].raw
            kept = [None if p.grad is None else p.grad.clone() for p in rivals]
            (total / 2).backward()
            for parameter, gradient in zip(rivals, kept, strict=True):
                parameter.grad = gradient
            held = [p.grad.clone() for p in learners]  # type: ignore[union-attr]
            (adversary.adversary_loss(replace(seen, z_BD=seen.z_BD.detach())) / 2).backward()
            for parameter, gradient in zip(learners, held, strict=True):
                parameter.grad = gradient
            for name, term in terms.items():
                totals[f"loss/{name}"] += float(term.raw.detach()) / 2
            totals["loss/total"] += float(total.detach()) / 2
        norm = nn.utils.clip_grad_norm_(learners, CLIP)
        optimizer.step()
        rival.step()
        decay = min(0.3, (1 + number) / (10 + number))
        with torch.no_grad():
            average = [decay * mean + (1 - decay) * p for mean, p in zip(average, learners, strict=True)]
        for name, value in {**totals, "gradient_norm": float(norm)}.items():
            logged.setdefault(name, []).append(value)
    return {"average": average, "logged": logged}


def test_updates_are_those_of_plain_pytorch(small: Callable[..., Small]) -> None:
    problem = small(*SETS)
    ours, plain = problem.system(), problem.system()
    update = problem.update(ours)
    # Two intervals of the record: the first of all steps but one, the second of the last.
    for number in range(STEPS):
        update.run(number, problem.rows(number), None, 140)
    first = update.means()
    update.run(STEPS, problem.rows(STEPS), None, 140)
    last = update.means()
    expected = by_hand(problem, plain)
    norms = expected["logged"]["gradient_norm"]
    assert min(norms) < CLIP < max(norms), "some steps must be clipped and some not"
    for (name, a), (_, b) in zip(ours.named_parameters(), plain.named_parameters(), strict=True):
        assert_close(a, b, rtol=2e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")
    assert_close(update.average, expected["average"], rtol=2e-4, atol=2e-6)
    for name, values in expected["logged"].items():
        assert first[name] == pytest.approx(sum(values[:STEPS]) / STEPS, rel=1e-4), name
        assert last[name] == pytest.approx(values[STEPS], rel=1e-4), name
    assert last["weighted/kl"] == pytest.approx(0.5 * last["loss/kl"])


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (
            'name="adam",lr=0.01,betas=[0.7,0.8],eps=1e-3,weight_decay=0.1,amsgrad=true',
            lambda p: torch.optim.Adam(p, 0.01, (0.7, 0.8), 1e-3, 0.1, amsgrad=True, fused=False),
        ),
        (
            'name="adamw",lr=0.01,betas=[0.7,0.8],eps=1e-3,weight_decay=0.1',
            lambda p: torch.optim.AdamW(p, 0.01, (0.7, 0.8), 1e-3, 0.1, fused=False),
        ),
        (
            'name="sgd",lr=0.01,betas=[0.7,0.8],weight_decay=0.1',
            lambda p: torch.optim.SGD(p, 0.01, 0.7, weight_decay=0.1, fused=False),
        ),
    ],
    ids=["adam", "adamw", "sgd"],
)
def test_every_setting_of_an_optimizer_arrives(
    small: Callable[..., Small], settings: str, reference: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
) -> None:
    problem = small(f"train.optimizer={{{settings}}}")
    ours, plain = problem.system(), problem.system()
    update, optimizer = problem.update(ours), reference(list(plain.parameters()))
    for number in range(4):
        rows = problem.rows(number)[0][0]
        update.run(number, [[rows]], None, 140)
        optimizer.zero_grad()
        terms, _ = plain.losses(plain_step(problem, rows, number, "train"))
        (terms["distortion"].raw + 0.5 * terms["kl"].raw).backward()
        optimizer.step()
    for (name, a), (_, b) in zip(ours.named_parameters(), plain.named_parameters(), strict=True):
        assert_close(a, b, rtol=2e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("learn", "moves"), [(["decoder"], False), (["encoder"], True), (None, True)])
def test_an_adversary_learns_while_the_codes_do(
    small: Callable[..., Small], learn: list[str] | None, moves: bool
) -> None:
    problem = small(*SETS)
    system = problem.system()
    update = problem.update(system)
    before = {key: value.clone() for key, value in system.state_dict().items()}
    update.run(0, problem.rows(0), learn, 140)
    moved = {key for key, value in system.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("regularizers.probe_tc") for key in moved) == moves
    for part in ("encoder", "decoder"):
        assert any(key.startswith(f"model.{part}.") for key in moved) == (learn is None or part in learn)


def test_nothing_moves_once_a_value_was_not_finite(small: Callable[..., Small]) -> None:
    problem = small(*SETS)
    system = problem.system()
    update = problem.update(system)
    update.run(0, problem.rows(0), None, 140)
    weight = system.weights.get_buffer("kl")
    weight.fill_(torch.inf)
    update.run(1, problem.rows(1), None, 140)
    weight.fill_(0.5)
    before = [p.detach().clone() for p in system.parameters()], [mean.clone() for mean in update.average]
    state = {key: value.clone() for key, value in update.state().items() if key.startswith(("main", "adversary"))}
    update.run(2, problem.rows(2), None, 140)  # a good step again, but the run is over
    assert_close([p.detach() for p in system.parameters()], before[0], rtol=0, atol=0)
    assert_close(update.average, before[1], rtol=0, atol=0)
    assert_close({key: update.state()[key] for key in state}, state, rtol=0, atol=0, equal_nan=True)
    weight.fill_(torch.nan)
    update.run(3, problem.rows(3), None, 140)
    assert update.bad() == (1, "kl")


def test_a_gradient_that_is_not_finite_is_found_where_the_loss_is(small: Callable[..., Small]) -> None:
    problem = small()
    system = problem.system()
    update = problem.update(system)
    weight = next(p for key, p in system.named_parameters() if key.startswith("model.decoder."))
    weight.register_hook(lambda gradient: gradient * torch.nan)
    before = [p.detach().clone() for p in system.parameters()]
    update.run(0, [problem.rows(0)[0][:1]], None, 140)
    assert update.bad() == (0, "gradient_norm")
    assert_close([p.detach() for p in system.parameters()], before, rtol=0, atol=0)


def test_a_state_put_back_continues_with_the_same_bits(small: Callable[..., Small], tmp_path: Path) -> None:
    problem = small(*SETS)
    first, second = problem.system(), problem.system()
    whole, resumed = problem.update(first), problem.update(second)
    for number in range(3):
        whole.run(number, problem.rows(number), None, 140)
    whole.main.lr.fill_(1e-3)
    digest = tensors.save(tmp_path / "train.safetensors", whole.state())
    second.load_state_dict(first.state_dict())
    resumed.restore(tensors.load(tmp_path / "train.safetensors", digest), whole.names, whole.count)
    for number in range(3, 5):
        for update in (whole, resumed):
            update.run(number, problem.rows(number), None, 140)
    for key, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[key], value), key
    for key, value in whole.state().items():
        assert torch.equal(resumed.state()[key], value), key
    assert_close(resumed.average, whole.average, rtol=0, atol=0)
    assert whole.means() == resumed.means()


def test_what_was_not_finite_before_a_restore_is_not_forgotten(small: Callable[..., Small]) -> None:
    problem = small()
    update, other = problem.update(problem.system()), problem.update(problem.system())
    update.run(0, [problem.rows(0)[0][:1]], None, 140)
    update.first_bad.copy_(torch.tensor([0, 1]))
    other.restore(update.state(), update.names, update.count)
    assert other.bad() == (0, update.names[1].removeprefix("loss/"))


class NoReading(TorchDispatchMode):
    """Refuses operations whose result, or its size, the host must wait for."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "is_nonzero")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            m is not None and m.dtype == torch.bool for m in args[1]
        )
        if name in self.FORBIDDEN or masked:
            raise AssertionError(f"{name} reads a value back from the device")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def on_the_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What reads a value back from the device fails, in operations and by methods that are none."""

    def refused(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a value is read back from the device")

    with monkeypatch.context() as patched, NoReading():
        # On the CPU alone it asks whether classes are in range; on a device that is left to the scatter.
        patched.setattr(
            torch.nn.functional, "one_hot", lambda i, K: i.new_zeros(*i.shape, K).scatter_(-1, i[..., None], 1)
        )
        for method in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
            patched.setattr(Tensor, method, refused)
        yield


PROBES = sorted((Path(__file__).parents[1] / "probe" / "specs").glob("*.toml"))
IMAGES = """
name = "images"
model = {{ recipe = "{recipe}", latent_dim = 4, encoder = {{ width = 8 }}, decoder = {{ width = 8 }} }}
data = {{ name = "rooms", size = 16, subset = {{ orientation = [7], scale = [7] }} }}
train = {{ steps = 2, batch_size = 16, device = "cpu", clip_norm = 1.0, ema = 0.9 }}
"""


@pytest.mark.parametrize("name", [*(path.stem for path in PROBES), "SAE-2", "VAE", "AdaAE-2"])
def test_an_update_reads_nothing_back_from_the_device(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spec.toml"
    found = next((probe for probe in PROBES if probe.stem == name), None)
    path.write_text(found.read_text() if found else IMAGES.format(recipe=name))
    small = Small(path)
    update = small.update(small.system())
    rows = torch.from_numpy(small.source.rows("train")[:32]).reshape(2, 16)
    small.source.batch(rows[0])  # data comes to the device once
    for number in range(2):
        with on_the_device(monkeypatch):
            update.run(number, [list(rows)], None, 32)
    assert update.bad() is None
    # It does see what it is there for.
    for read in (update.bad, lambda: float(update.sums.sum()), lambda: update.sums[update.sums > 0]):
        with pytest.raises(AssertionError, match="back from the device"), on_the_device(monkeypatch):
            read()


def test_a_phase_whose_parameters_no_term_reaches_is_told(small: Callable[..., Small]) -> None:
    problem = small()
    system = problem.system()
    system.model.prior.register_parameter("unused", nn.Parameter(torch.zeros(3)))
    update = problem.update(system)
    update.run(0, problem.rows(0), None, 140)
    told = (
        r"step 1: no term of the loss depends on a parameter that learns in this phase \(prior\): add a term that does"
    )
    with pytest.raises(TrainingError, match=told):
        update.run(1, problem.rows(1), ["prior"], 140)


def test_the_average_is_exchanged_and_put_back(small: Callable[..., Small]) -> None:
    problem = small("train.ema=0.9")
    system = problem.system()
    update = problem.update(system)
    for number in range(2):
        update.run(number, [problem.rows(number)[0][:1]], None, 140)
    weights = [p.detach().clone() for p in update.main.parameters]
    average = [mean.clone() for mean in update.average]
    update.swap_average()
    assert_close([p.detach() for p in update.main.parameters], average, rtol=0, atol=0)
    update.swap_average()
    assert_close([p.detach() for p in update.main.parameters], weights, rtol=0, atol=0)
    assert_close(update.average, average, rtol=0, atol=0)


def test_a_step_knows_its_rows_its_noise_and_the_size_of_the_data(small: Callable[..., Small]) -> None:
    problem = small()
    rows = problem.rows(0)[0][0]
    step = problem.update(problem.system()).step_over(rows, torch.tensor(3), "soft", "train", 140)
    assert (step.mode, step.dataset_size, int(step.number)) == ("soft", 140, 3)
    assert torch.equal(step.batch.rows, rows)
    own = StepNoise(problem.spec.seed, torch.tensor(3), rows, "train")("a", "normal", (2,))
    assert torch.equal(step.noise("a", "normal", (2,)), own)


def test_the_global_generator_is_a_function_of_seed_step_and_rank(small: Callable[..., Small]) -> None:
    problem = small()
    states = []
    for seed, number, rank in [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]:
        problem.spec = problem.spec.model_copy(update={"seed": seed})
        update = Update(problem.spec, problem.system(), problem.source, problem.numerics, World(rank, 1))
        with torch.random.fork_rng():
            update.run(number, [problem.rows(0)[0][:1]], None, 140)
            states.append(torch.get_rng_state())
    assert torch.equal(states[0], states[1])
    assert all(not torch.equal(states[0], other) for other in states[2:])
