"""One optimizer update: micro-batches, gradients, adversaries, averaged weights, and a flag for what is not finite.

Nothing here reads a value back from the device, so the host runs ahead and the whole update can become one graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from aerepr.data.source import DataSource
from aerepr.errors import TrainingError
from aerepr.kinds.step import Step, Terms
from aerepr.layers.noise import StepNoise
from aerepr.model.system import System
from aerepr.spec.run import RunSpec
from aerepr.training.distributed import World
from aerepr.training.optimizer import NamedOptimizer
from aerepr.training.precision import Numerics

# Before the names of values that are looked at and not logged.
_PART = "part/"


class Update:
    """The state of optimization, and the one function that advances it."""

    def __init__(self, spec: RunSpec, system: System, source: DataSource, numerics: Numerics, world: World) -> None:
        self.spec = spec
        self.system = system
        self.source = source
        self.numerics = numerics
        self.world = world
        self.device = torch.device(numerics.device)
        by_part = system.learned_parameters()
        named = [(f"{part}.{name}", parameter) for part, pairs in by_part.items() for name, parameter in pairs]
        self.parts = [part for part, pairs in by_part.items() for _ in pairs]
        self.main = NamedOptimizer(spec.train.optimizer, named, self.device)
        specs = {item.id: item for item in spec.model.regularizers}
        self.adversaries = {
            key: (module, NamedOptimizer(specs[key].optimizer or spec.train.optimizer, _named(parameters), self.device))
            for key, module, parameters in system.adversaries()
        }
        self.average = [p.detach().clone() for p in self.main.parameters] if spec.train.ema else []
        # [step, term] of the first value that was not finite; a negative step while all is well.
        self.first_bad = torch.full((2,), -1, dtype=torch.int64, device=self.device)
        self.names: list[str] = []
        # Sums over many steps; MPS has no float64.
        self.wide = torch.float32 if self.device.type == "mps" else torch.float64
        self.sums = torch.zeros(0, dtype=self.wide, device=self.device)
        self.count = 0

    def step_over(self, rows: Tensor, number: Tensor, mode: str, stream: str, size: int) -> Step:
        """A step over some rows, ready for the objective."""
        noise = StepNoise(self.spec.seed, number, rows, stream)
        batch = self.source.batch(rows, None if stream.startswith("valid") else noise)
        batch = replace(batch, x=self.system.model.normalise(batch.x))
        return Step(batch=batch, noise=noise, number=number, dataset_size=size, mode=mode)  # type: ignore[arg-type]

    def run(
        self, number: int, micro_batches: Sequence[Sequence[Tensor]], learn: Sequence[str] | None, size: int
    ) -> None:
        """One update.

        Args:
            number: updates done before this one.
            micro_batches: for each micro-batch, its row numbers and those of each extra batch.
            learn: parts that learn; None for all.
            size: rows of the training data in use.
        """
        # A component that draws from the global generator still resumes exactly: its state is a function of the step.
        # The mask keeps what torch takes of seeds beyond 2^43.
        torch.manual_seed(((self.spec.seed << 20) ^ number ^ self.world.rank) & (2**63 - 1))
        step_number = torch.tensor(number, dtype=torch.int64).to(self.device, non_blocking=True)
        learned = [i for i, part in enumerate(self.parts) if learn is None or part in learn]
        gradients: list[Tensor | None] = [None] * len(self.parts)
        pushes: dict[str, list[Tensor | None]] = {}
        values: Tensor | None = None
        share = 1 / len(micro_batches)
        for index, (rows, *extra_rows) in enumerate(micro_batches):
            stream = "train" if index == 0 else f"train{index}"
            with self.numerics.active():
                step = self.step_over(rows, step_number, "sample", stream, size)
                step = replace(step, extra=self.encoded(extra_rows, step_number, stream, size))
                terms, seen = self.system.losses(step, lambda filled: self.world.gather(self.system, filled))
                weighted = [term.weighted for term in terms.values()]
                total = torch.stack(weighted).sum()
            wanted = [self.main.parameters[i] for i in learned]
            found = (
                torch.autograd.grad(total, wanted, allow_unused=True) if total.requires_grad else [None] * len(wanted)
            )
            if all(gradient is None for gradient in found):
                named = ", ".join(learn or dict.fromkeys(self.parts))
                raise TrainingError(
                    f"step {number}: no term of the loss depends on a parameter that learns in this phase ({named}): add a "
                    "term that does, or let other parts learn"
                )
            for i, gradient in zip(learned, found, strict=True):
                gradients[i] = _plus(gradients[i], gradient, share)
            raw = [value for term in terms.values() for value in (*term.parts.values(), term.raw)]
            now = torch.stack([value.detach() for value in (*raw, *weighted, total)]).to(self.wide) * share
            values = now if values is None else values + now
            self._name(terms)
            if learn is None or "encoder" in learn:
                for key, (module, optimizer) in self.adversaries.items():
                    with self.numerics.active():
                        loss = module.adversary_loss(replace(seen, z_BD=seen.z_BD.detach()))
                    push = torch.autograd.grad(loss, optimizer.parameters, allow_unused=True)
                    before = pushes.get(key, [None] * len(push))
                    pushes[key] = [_plus(old, new, share) for old, new in zip(before, push, strict=True)]
        assert values is not None
        self._apply(step_number, gradients, pushes, values)

    def encoded(self, extra_rows: Sequence[Tensor], number: Tensor, stream: str, size: int) -> tuple[Step, ...]:
        """Further batches of a step, encoded; no gradient of theirs reaches the encoder."""
        steps = (
            self.step_over(rows, number, "sample", f"{stream}/extra{i}", size) for i, rows in enumerate(extra_rows)
        )
        with torch.no_grad():
            return tuple(self.system.model.draw(step) for step in steps)

    def _apply(
        self,
        step_number: Tensor,
        gradients: list[Tensor | None],
        pushes: dict[str, list[Tensor | None]],
        values: Tensor,
    ) -> None:
        self.world.average(gradients)
        for push in pushes.values():
            self.world.average(push)
        self.world.average([values])
        present = [gradient for gradient in gradients if gradient is not None]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g.float()) for g in present]))
        finite = torch.cat([torch.isfinite(values), torch.isfinite(norm)[None]])
        now_bad = torch.stack([step_number, finite.to(torch.int64).argmin()])
        self.first_bad = torch.where((self.first_bad[0] < 0) & ~finite.all(), now_bad, self.first_bad)
        bad = (self.first_bad[0] >= 0).to(torch.float32)
        if self.spec.train.clip_norm:
            factor = (self.spec.train.clip_norm / (norm + 1e-6)).clamp(max=1.0)
            gradients = [None if g is None else g * factor for g in gradients]
        self.main.update(gradients, bad)
        for key, push in pushes.items():
            self.adversaries[key][1].update(push, bad)
        if self.average:
            # Early averages forget quickly, or they would remember the initial weights for as long as they last.
            updates = step_number.to(self.wide)
            decay = ((1 + updates) / (10 + updates)).clamp(max=self.spec.train.ema)
            keep = (1 - decay).to(torch.float32) * (1 - bad)
            with torch.no_grad():
                for mean, parameter in zip(self.average, self.main.parameters, strict=True):
                    mean.add_((parameter - mean) * keep)
        self.sums = self.sums + torch.cat([values, norm.to(self.wide)[None]])
        self.count += 1

    def _name(self, terms: Terms) -> None:
        if self.names:
            return
        # Parts come before their term and terms before their sum, so that what is not finite is named where it began.
        raw = [
            name for key, term in terms.items() for name in (*(f"{_PART}{key}: {p}" for p in term.parts), f"loss/{key}")
        ]
        self.names = [*raw, *(f"weighted/{key}" for key in terms), "loss/total", "gradient_norm"]
        if len(self.sums) != len(self.names):
            self.sums = torch.zeros(len(self.names), dtype=self.wide, device=self.device)

    def bad(self) -> tuple[int, str] | None:
        """Step and name of the first value that was not finite; waits for the device."""
        step, term = self.first_bad.tolist()
        if step < 0:
            return None
        return step, self.names[term].removeprefix("weighted/").removeprefix("loss/").removeprefix(_PART)

    def means(self) -> dict[str, float]:
        """Mean of every value since the last call, but for parts of terms; waits for the device."""
        found = (self.sums / max(1, self.count)).tolist()
        self.sums = torch.zeros_like(self.sums)
        self.count = 0
        return {name: value for name, value in zip(self.names, found, strict=True) if not name.startswith(_PART)}

    def swap_average(self) -> None:
        """Exchange the weights with their average; a second call puts them back."""
        with torch.no_grad():
            # Without an average there is nothing to exchange: the list is empty.
            for mean, parameter in zip(self.average, self.main.parameters, strict=False):
                held = parameter.clone()
                parameter.copy_(mean)
                mean.copy_(held)

    def state(self) -> dict[str, Tensor]:
        """Every tensor of optimization beyond the modules' own state."""
        found = self.main.state("main")
        for key, (_, optimizer) in self.adversaries.items():
            found |= optimizer.state(f"adversary.{key}")
        found |= {f"average/{name}": mean for name, mean in zip(self.main.names, self.average, strict=False)}
        return found | {"sums": self.sums, "first_bad": self.first_bad}

    def restore(self, tensors: dict[str, Tensor], names: list[str], count: int) -> None:
        """Put back what `state` gave."""
        self.main.restore("main", tensors)
        for key, (_, optimizer) in self.adversaries.items():
            optimizer.restore(f"adversary.{key}", tensors)
        for name, mean in zip(self.main.names, self.average, strict=False):
            mean.copy_(tensors[f"average/{name}"])
        self.sums = tensors["sums"].to(self.device, self.wide)
        self.first_bad = tensors["first_bad"].to(self.device)
        self.names, self.count = names, count


def _named(parameters: list[torch.nn.Parameter]) -> list[tuple[str, torch.nn.Parameter]]:
    return [(str(index), parameter) for index, parameter in enumerate(parameters)]


def _plus(held: Tensor | None, new: Tensor | None, share: float) -> Tensor | None:
    if new is None:
        return held
    scaled = new if share == 1 else new * share
    return scaled if held is None else held + scaled
