"""Everything that learns in a run: the autoencoder, the objective, the regularizers with their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from aerepr.errors import Problem, SpecError
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.objective import Objective
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step, Term, Terms
from aerepr.model.autoencoder import Autoencoder
from aerepr.registry.registry import Registry

# What `[[train.phases]] learn` may name.
PARTS = ("encoder", "posterior", "prior", "decoder", "likelihood", "objective", "regularizers")


class System(nn.Module):
    """One module that holds all state of the composition; its state dict is what a checkpoint keeps.

    Args:
        regularizers: id to (module, weight).
        registry: where its components were found, and where samplers for it are.
    """

    def __init__(
        self,
        model: Autoencoder,
        objective: Objective,
        regularizers: dict[str, tuple[Regularizer, float]],
        registry: Registry | None = None,
    ) -> None:
        super().__init__()
        taken = sorted(key for key in regularizers if hasattr(nn.ModuleDict(), key) or key in ("distortion", "total"))
        if taken:
            problems = [
                Problem(f"model.regularizers.{key}", "this id means something else: set another `id`") for key in taken
            ]
            raise SpecError("spec", problems)
        self.registry = registry or Registry()
        self.model = model
        self.objective = objective
        self.regularizers = nn.ModuleDict({key: module for key, (module, _) in regularizers.items()})
        # Weights are buffers, not attributes: a schedule writes them in place, and a checkpoint carries them.
        self.weights = nn.Module()
        for key, (_, weight) in regularizers.items():
            self.weights.register_buffer(key, torch.tensor(float(weight)))

    @property
    def terms(self) -> dict[str, Regularizer]:
        """The regularizers by id."""
        return cast("dict[str, Regularizer]", dict(self.regularizers.items()))

    @property
    def layout(self) -> LatentLayout:
        return self.model.decoder.layout

    @property
    def extra_batches(self) -> int:
        """Further batches each step needs."""
        return max((module.extra_batches for module in self.terms.values()), default=0)

    def losses(self, step: Step, gather: Callable[[Step], Step] = lambda step: step) -> tuple[Terms, Step]:
        """Terms of one batch, and the step as the regularizers saw it (for the adversaries).

        Args:
            step: a batch that is not inferred, and in `extra` as many further ones as `extra_batches` says, encoded.
            gather: joins what several processes hold, so that batch-estimated terms see the whole global batch.
        """
        seen: list[Step] = []

        def regularize(filled: Step) -> Terms:
            filled = gather(filled)
            seen.append(filled)
            terms: Terms = {}
            for key, module in self.terms.items():
                scoped = replace(filled, noise=filled.noise.scoped(f"regularizers/{key}"))
                terms[module.logged_name(key, filled)] = Term(module(scoped), self.weights.get_buffer(key))
            return terms

        terms = self.objective(self.model, step, regularize)
        return terms, seen[-1] if seen else step

    def adversaries(self) -> Iterator[tuple[str, Regularizer, list[nn.Parameter]]]:
        """(id, regularizer, parameters) of every regularizer that owns an adversary."""
        for key, module in self.terms.items():
            parameters = list(module.adversary_parameters())
            if parameters:
                yield key, module, parameters

    def part(self, name: str) -> nn.Module:
        """A part by the name phases use."""
        return getattr(self.model, name) if name in PARTS[:5] else getattr(self, name)

    def learned_parameters(self) -> dict[str, list[tuple[str, nn.Parameter]]]:
        """Part to its (name, parameter) pairs; adversaries' parameters are not among them."""
        adversarial = {id(parameter) for _, _, parameters in self.adversaries() for parameter in parameters}
        return {
            part: [(key, value) for key, value in self.part(part).named_parameters() if id(value) not in adversarial]
            for part in PARTS
        }
