"""How much faster are the flow's written-out derivatives than autograd's, and what is their share of a training step?

    python benchmarks/flow.py                  D = 324 and T = 8 as published, batches of 128
    python benchmarks/flow.py --device cuda

Times velocity, rate, force and density change along T steps of one transformation, forward and back to the weights, once as
aerepr-flow computes them and once by double backward through the same networks, in turns, and holds values and gradients of the
two against each other. The rules that need D second derivatives take autograd minutes, so they get a smaller batch. Then the
share of a whole step of the recipe, and the peak of memory of an evaluation: of codes alone over 8 and 1,024 steps, and with their
log-determinants over 8 and 64. Exits 1 where values differ or a target is missed. Give it a machine that does nothing else. Writes nothing.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from aerepr_flow.density import Rule, log_volume
from aerepr_flow.fields import Fields, Networks
from aerepr_flow.flow import Flow
from aerepr_flow.objectives.flow import FlowObjective
from aerepr_flow.walk import steps_along
from torch import Tensor

from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Step
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_system
from aerepr.spec.read import spec_from_tables

RULES: tuple[Rule, ...] = ("legacy_row_sum", "hutchinson", "laplacian", "exact")
CHEAP = ("legacy_row_sum", "hutchinson")
TARGET_SPEEDUP = 1.5

# Relative to the largest value: rounding of a few hundred float32 products, and of as many steps as there are.
TOLERANCE = 1e-3
# Of the peak: what an allocator may round. Steps enough that codes which are kept would show: at the published size 0.16 MB each.
FLAT = 1.05
WALK_STEPS = (8, 1024)
VOLUME_STEPS = (8, 64)


@dataclass(frozen=True)
class Setting:
    """What is timed: sizes, rule, device."""

    D: int
    T: int
    batch: int
    rule: Rule
    device: str

    def fields(self) -> tuple[Fields, Fields]:
        """Potential and force of three transformations, with second derivatives that are not near zero."""
        torch.manual_seed(0)
        found = Fields(3, self.D), Fields(3, self.D)
        with torch.no_grad():
            for parameter in (*found[0].parameters(), *found[1].parameters()):
                parameter.mul_(1.5)
        potential, force = (item.to(self.device) for item in found)
        return potential, force

    def codes(self) -> tuple[Tensor, Tensor]:
        """Codes and the random signs of `hutchinson`."""
        generator = torch.Generator().manual_seed(1)
        z_BD = torch.randn(self.batch, self.D, generator=generator)
        v_BD = torch.randint(0, 2, (self.batch, self.D), generator=generator) * 2.0 - 1
        return z_BD.to(self.device), v_BD.to(self.device)


def written_out(setting: Setting, potential: Fields, force: Fields) -> list[Tensor]:
    """Velocity, rate, force and density change of each step, as the package computes them."""
    z_BD, v_BD = setting.codes()
    one_M = torch.ones(1, dtype=torch.int64, device=z_BD.device)
    u, f, weights_MB = potential.networks(one_M), force.networks(one_M), z_BD.new_ones(1, len(z_BD))
    times_T = torch.arange(1, setting.T + 1, dtype=z_BD.dtype, device=z_BD.device)
    shifts, rates, pushes = u.shift(times_T), u.shift_rate(times_T), f.shift(times_T)
    found: list[Tensor] = []
    for t in range(setting.T):
        point = u.at(z_BD, shifts[:, t : t + 1])
        velocity_BD = point.gradient_MBD[0]
        found += [velocity_BD, point.rate(rates[:, t : t + 1])[0], f.value(z_BD, pushes[:, t : t + 1])[0]]
        found.append(log_volume(setting.rule, point, weights_MB, [v_BD]))
        z_BD = z_BD + velocity_BD
    return found


def by_autograd(setting: Setting, potential: Fields, force: Fields) -> list[Tensor]:
    """The same, straightforwardly: each derivative is asked of autograd, and can be differentiated again."""
    z_BD, v_BD = setting.codes()
    one_M = torch.ones(1, dtype=torch.int64, device=z_BD.device)
    u, f = potential.networks(one_M), force.networks(one_M)
    found: list[Tensor] = []
    for t in range(1, setting.T + 1):
        z_BD = z_BD if z_BD.requires_grad else z_BD.requires_grad_()
        t_B = torch.full((len(z_BD),), float(t), device=z_BD.device, requires_grad=True)
        value = _value(u, z_BD, t_B).sum()
        velocity_BD, rate_B = torch.autograd.grad(value, (z_BD, t_B), create_graph=True)
        found += [velocity_BD, rate_B, _value(f, z_BD, t_B)]
        found.append(_change(setting.rule, z_BD, velocity_BD, v_BD))
        z_BD = z_BD + velocity_BD
    return found


def _value(networks: Networks, z_BD: Tensor, t_B: Tensor) -> Tensor:
    return networks.value(z_BD, networks.shift(t_B))[0]


def _change(rule: Rule, z_BD: Tensor, velocity_BD: Tensor, v_BD: Tensor) -> Tensor:
    def product(vector_BD: Tensor) -> Tensor:
        (found_BD,) = torch.autograd.grad((velocity_BD * vector_BD).sum(), z_BD, create_graph=True)
        return found_BD

    if rule == "legacy_row_sum":
        return (1 + product(torch.ones_like(z_BD))).abs().log()
    if rule == "hutchinson":
        return (1 + (product(v_BD) * v_BD).sum(dim=-1)).abs().log()
    unit_DD = torch.eye(z_BD.shape[1], device=z_BD.device)
    hessian_BDD = torch.stack([product(row_D.expand_as(z_BD)) for row_D in unit_DD], dim=1)
    if rule == "laplacian":
        return (1 + hessian_BDD.diagonal(dim1=1, dim2=2).sum(dim=-1)).abs().log()
    log_B: Tensor = torch.linalg.slogdet(unit_DD + hessian_BDD).logabsdet
    return log_B


Way = Callable[[Setting, Fields, Fields], list[Tensor]]


def learned(way: Way, setting: Setting, potential: Fields, force: Fields) -> tuple[list[Tensor], list[Tensor]]:
    """Values, and the gradients of a mixed sum of them."""
    values = way(setting, potential, force)
    total = sum((value.square().mean() for value in values), torch.zeros((), device=values[0].device))
    weights = [*potential.parameters(), *force.parameters()]
    return [value.detach() for value in values], list(torch.autograd.grad(total, weights))


def timed(device: str, work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The largest difference of two lists of tensors, each relative to the largest value of its pair."""
    pairs = zip(ours, theirs, strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in pairs)


def compared(setting: Setting, repeats: int) -> dict[str, Any]:
    """Median seconds of both ways, in turns, and how far their results differ."""
    potential, force = setting.fields()
    ours, theirs = (learned(way, setting, potential, force) for way in (written_out, by_autograd))
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        for name, way in (("ours", written_out), ("theirs", by_autograd)):
            seconds[name].append(timed(setting.device, lambda way=way: learned(way, setting, potential, force)))  # type: ignore[misc]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "rule": setting.rule,
        "batch": setting.batch,
        **median,
        "speedup": median["theirs"] / median["ours"],
        "values": difference(ours[0], theirs[0]),
        "gradients": difference(ours[1], theirs[1]),
    }


def whole_step(options: argparse.Namespace, rule: Rule) -> tuple[float, float]:
    """Seconds of a training step of the recipe, forward and back, and of the flow's part of it."""
    data = {"name": "rooms"}  # the recipe alone does not say what it is trained on, and nothing of it is read
    sets = [
        f"model.latent_dim={options.dim}",
        f"model.objective.density={rule}",
        f"model.objective.exact_limit={options.dim}",
    ]
    spec = spec_from_tables({"name": "flow", "model": {"recipe": "Flow-MNIST"}, "data": data}, sets)
    shape, names = DataShape.image(3, 28, 28), ("scale", "rotation", "hue")
    info = DataInfo(shape, train_size=60_000, labels=names, frames=options.steps + 1)
    system = build_system(spec, info).to(options.device)
    size = options.step_batch
    rows, number = torch.arange(size, device=options.device), torch.zeros((), dtype=torch.int64, device=options.device)
    x = torch.rand(size, info.frames, *shape.sizes, device=options.device)
    label_B = torch.ones(1, dtype=torch.int64, device=options.device).expand(size)
    step = Step(Batch(x, rows, None, label_B, True), StepNoise(0, number, rows), number, 60_000)
    weights = [parameter for parameter in system.parameters() if parameter.requires_grad]

    def whole() -> None:
        terms, _ = system.losses(step)
        total = torch.stack([term.weighted for term in terms.values()]).sum()
        torch.autograd.grad(total, weights, allow_unused=True)

    objective = system.objective
    assert isinstance(objective, FlowObjective)
    setting = Setting(options.dim, options.steps, size, rule, options.device)
    whole()
    seconds = [timed(options.device, whole) for _ in range(options.repeats)]
    part = [
        timed(options.device, lambda: learned(written_out, setting, objective.flow.potential, objective.force))
        for _ in range(options.repeats)
    ]
    return statistics.median(seconds), statistics.median(part)


def peak_mb(work: Callable[[Setting], None], setting: Setting) -> float:
    """The most memory this process used until the end of the work."""
    with torch.no_grad():
        work(setting)
    if torch.device(setting.device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def walked(setting: Setting) -> None:
    """Codes along T steps as traversals and metrics walk them; only the newest are kept."""
    flow = Flow(3, setting.D)
    flow.potential, _ = setting.fields()
    z_BD, _ = setting.codes()
    for _ in steps_along(flow, z_BD, [z_BD.new_ones(setting.batch, 3) / 3] * setting.T):
        pass


def followed(setting: Setting) -> None:
    """The same with the change of density at each step."""
    potential, _ = setting.fields()
    networks, (z_BD, _) = potential.networks(), setting.codes()
    weights_MB = z_BD.new_ones(3, setting.batch) / 3
    change_B = z_BD.new_zeros(setting.batch)
    for t in range(1, setting.T + 1):
        point = networks.at(z_BD, networks.shift(z_BD.new_full((1,), float(t))))
        change_B = change_B - log_volume(setting.rule, point, weights_MB)
        z_BD = z_BD + (weights_MB.unsqueeze(-1) * point.gradient_MBD).sum(dim=0)


def memory(dim: int, batch: int, device: str) -> list[str]:
    """Print the peaks over few and many steps, the cheaper work first, for a process remembers its highest; what grew."""
    failed = []
    works = (("walking", walked, WALK_STEPS), ("walking with log-determinants", followed, VOLUME_STEPS))
    for what, work, (few, many) in works:
        peaks = [peak_mb(work, Setting(dim, steps, batch, "laplacian", device)) for steps in (few, few, many)]
        print(
            f"peak of memory, {what}, {batch} codes: {peaks[1]:.0f} MB over {few} steps, {peaks[2]:.0f} MB over {many}"
        )
        if peaks[2] > FLAT * peaks[1]:
            failed.append(f"{what}: memory grows with the number of steps")
    print()
    return failed


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=324, help="D, latent dimensions")
    parser.add_argument("--steps", type=int, default=8, help="T, steps of the flow")
    parser.add_argument("--batch", type=int, default=128, help="codes, for the rules that are cheap by autograd too")
    parser.add_argument("--hessian-batch", type=int, default=8, help="codes, for those that need D second derivatives")
    parser.add_argument("--step-batch", type=int, default=32, help="sequences of the whole training step")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say whether every target is met."""
    options = parsed(arguments)
    torch.backends.cuda.matmul.allow_tf32 = False
    failed = memory(options.dim, options.batch, options.device)
    print("| density | batch | written out, s | autograd, s | faster | values differ | gradients differ |")
    print("|---|---|---|---|---|---|---|")
    for rule in options.rules:
        batch = options.batch if rule in CHEAP else options.hessian_batch
        found = compared(Setting(options.dim, options.steps, batch, rule, options.device), options.repeats)
        times = f"{found['ours']:.4f} | {found['theirs']:.4f} | {found['speedup']:.2f} x"
        print(f"| {rule} | {batch} | {times} | {found['values']:.1e} | {found['gradients']:.1e} |", flush=True)
        if found["speedup"] < TARGET_SPEEDUP:
            failed.append(f"{rule}: {found['speedup']:.2f} times faster, expected at least {TARGET_SPEEDUP}")
        if not max(found["values"], found["gradients"]) < TOLERANCE:
            failed.append(f"{rule}: values or gradients differ by more than {TOLERANCE:g}")
    print(f"\n| density | training step of {options.step_batch}, s | the flow's part, s | share |\n|---|---|---|---|")
    for rule in options.rules:
        whole_s, part_s = whole_step(options, rule)
        print(f"| {rule} | {whole_s:.3f} | {part_s:.3f} | {100 * part_s / whole_s:.0f} % |", flush=True)
    print(
        f"\nD = {options.dim}, T = {options.steps}, {torch.get_num_threads()} threads, torch {torch.__version__}, {options.device}"
    )
    for line in failed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
