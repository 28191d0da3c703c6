"""Checks of what a step is scored by: regularizers and objectives.

Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from aerepr.conformance import parts
from aerepr.conformance.parts import (
    EXPORT_ROWS,
    reached,
    require_learning,
    require_shape,
    same,
    trainable,
    verify_export,
)
from aerepr.conformance.result import Broken, Check, own_generators, require
from aerepr.conformance.world import Scene, Subject
from aerepr.kinds.batch import Batch
from aerepr.kinds.distributions import Dirac
from aerepr.kinds.objective import Objective
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step, Term, Terms
from aerepr.layers.exportable import TAKEN

# Relative difference that another order of summation may make.
ROUNDING = 1e-4


# Regularizer.


def _regularizer(scene: Scene) -> Regularizer:
    part = scene.part
    assert isinstance(part, Regularizer)
    return part


def _filled(scene: Scene, batch: Batch | None = None) -> Step:
    return scene.model.infer(scene.step(batch))


def _regularizer_outputs(scene: Scene) -> list[Tensor]:
    with torch.no_grad():
        return [_regularizer(scene)(_filled(scene))]


def regularizer_scalar(subject: Subject) -> None:
    """A finite 0-dim tensor, logged under a name that says which term it is."""
    for scene in subject.scenes():
        step = _filled(scene)
        require_shape("the term", _regularizer(scene)(step), (), scene)
        name = _regularizer(scene).logged_name("term", step)
        require(
            isinstance(name, str) and name.startswith("term"),
            f'logged_name gives {name!r} for "term", expected it to start with the name it is given',
        )


def regularizer_gradients(subject: Subject) -> None:
    """The term has a gradient to the codes, the posterior or the weights, and what it learns itself gets one."""
    for scene in subject.scenes():
        scene.stir()
        module = _regularizer(scene)
        adversary = {id(parameter) for parameter in module.adversary_parameters()}
        own = [parameter for parameter in trainable(module) if id(parameter) not in adversary]
        model = trainable(scene.model)
        found = reached(module(_filled(scene)), [*model, *own])
        where = f"in the world of {scene.world.name}"
        require(all(bool(g.isfinite().all()) for g in found), f"a gradient of the term is not finite, {where}")
        require(any(bool(g.any()) for g in found[: len(model)]), f"no gradient of the term reaches the model, {where}")
        require(
            all(bool(g.any()) for g in found[len(model) :]),
            f"a parameter of the term gets no gradient, and is not among adversary_parameters, {where}",
        )


def regularizer_order(subject: Subject) -> None:
    """The order of the examples in the batch does not matter."""
    for scene in subject.scenes():
        batch, order_B = scene.world.batch(), torch.tensor([3, 1, 7, 0, 5, 2, 6, 4])
        columns: dict[str, Any] = {
            name: value[order_B] for name, value in vars(batch).items() if isinstance(value, Tensor)
        }
        with torch.no_grad():
            step, moved = scene.step(batch), scene.step(replace(batch, **columns))
            with own_generators():
                before = _regularizer(scene)(scene.model.infer(step))
            with own_generators():
                after = _regularizer(scene)(scene.model.infer(replace(moved, extra=step.extra)))
        require(
            bool(torch.isclose(before, after, rtol=ROUNDING, atol=1e-5)),
            f"the term is {before.item():.6g}, and {after.item():.6g} with the batch in another order, in the world of "
            f"{scene.world.name}",
        )


def regularizer_weight(subject: Subject) -> None:
    """The weight is the engine's: the term does not change with it."""
    for scene in subject.scenes():
        found = []
        for weight in (1.0, 7.0):
            other = subject.scene(scene.world, weight=weight)
            with own_generators():
                found.append(_regularizer_outputs(other))
        require(
            same(*found),
            f"the term changes with its weight, which the engine applies, in the world of {scene.world.name}",
        )


def regularizer_needs(subject: Subject) -> None:
    """What it does not declare to need, it works without: a density, and factorised distributions."""
    for scene in subject.scenes():
        module = _regularizer(scene)
        with torch.no_grad():
            step = _filled(scene)
            if not module.needs_density:
                _works(
                    module, replace(step, posterior=Dirac(step.z_BD)), "needs_density", "a posterior without a density"
                )
            if not module.needs_factorised:
                D = scene.world.latent_dim
                scale_DD = torch.eye(D) + 0.3 * torch.eye(D).roll(1, dims=0).tril()
                full = MultivariateNormal(
                    step.z_BD, scale_tril=scale_DD.expand(len(step.z_BD), D, D), validate_args=False
                )
                prior = MultivariateNormal(torch.zeros(D), scale_tril=scale_DD, validate_args=False)
                joint = replace(step, posterior=full, prior=prior)
                _works(module, joint, "needs_factorised", "distributions that are not factorised")


def _works(module: Regularizer, step: Step, flag: str, what: str) -> None:
    try:
        finite = bool(module(step).isfinite())
    except Exception as cause:
        raise Broken(f"{flag} is False, and the term fails on {what}: {type(cause).__name__}: {cause}") from cause
    require(finite, f"{flag} is False, and the term is not finite on {what}")


def regularizer_adversary(subject: Subject) -> None:
    """The adversary's loss is a finite scalar that teaches the adversary alone."""
    for scene in subject.scenes():
        scene.stir()
        module, where = _regularizer(scene), f"in the world of {scene.world.name}"
        adversary = list(module.adversary_parameters())
        if not adversary:
            continue
        kept = {id(parameter) for parameter in module.parameters()}
        require(
            all(id(parameter) in kept for parameter in adversary),
            "a parameter of the adversary is not among the term's own, so no checkpoint keeps it: make the adversary a submodule",
        )
        step = _filled(scene)
        loss = module.adversary_loss(step)
        require_shape("the adversary's loss", loss, (), scene)
        model = trainable(scene.model)
        found = reached(loss, [*adversary, *model])
        require(
            all(bool(g.isfinite().all()) and bool(g.any()) for g in found[: len(adversary)]),
            f"the adversary's loss does not reach every parameter of the adversary, {where}",
        )
        require(
            not any(bool(g.any()) for g in found[len(adversary) :]),
            f"the adversary's loss has a gradient to the model: detach the codes, {where}",
        )


# Objective.


class _Regularize:
    """The engine's callable, which remembers what it gave."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.terms: Terms = {}
        self.calls = 0

    def __call__(self, step: Step) -> Terms:
        self.calls += 1
        for name, module in self.scene.system.regularizers.items():
            self.terms[name] = Term(module(step), 0.5)
        return dict(self.terms)


def _terms(scene: Scene, step: Step | None = None, regularize: Callable[[Step], Terms] | None = None) -> Terms:
    objective: Objective = scene.system.objective
    found: Terms = objective(scene.model, scene.step() if step is None else step, regularize or _Regularize(scene))
    return found


def _objective_outputs(scene: Scene) -> list[Tensor]:
    """What an update reads: the terms, and the gradients of their sum, which a straight-through draw alone may change."""
    terms = _terms(scene)
    values = [value.detach() for term in terms.values() for value in (term.raw, term.weighted)]
    return values + reached(_total(terms), trainable(scene.system))


def objective_terms(subject: Subject) -> None:
    """Named terms, each a finite 0-dim tensor with a weight, in training and in validation."""
    for scene in subject.scenes():
        for mode in ("sample", "represent"):
            terms = _terms(scene, scene.step(mode=mode))
            require(
                isinstance(terms, dict) and len(terms) > 0, f"gives {type(terms).__name__}, expected a dict of terms"
            )
            for name, term in terms.items():
                require(isinstance(term, Term), f"{name} is {type(term).__name__}, expected a Term")
                require_shape(f"{name} in mode {mode}", term.raw, (), scene)
                require_shape(f"the weight of {name}", torch.as_tensor(term.weight), (), scene)


def objective_gradients(subject: Subject) -> None:
    """The total has a gradient to the encoder, the decoder and everything the objective owns."""
    for scene in subject.scenes():
        scene.stir()
        scene.system.train()
        model, own = scene.model, trainable(scene.system.objective)
        ends = [*trainable(model.encoder), *trainable(model.decoder), *own]
        found = reached(_total(_terms(scene)), ends)
        where = f"in the world of {scene.world.name}"
        require(all(bool(g.isfinite().all()) for g in found), f"a gradient of the total is not finite, {where}")
        learned = len(trainable(model.encoder))
        require(any(bool(g.any()) for g in found[:learned]), f"no gradient reaches the encoder, {where}")
        decoder = found[learned : len(found) - len(own)]
        require(any(bool(g.any()) for g in decoder), f"no gradient reaches the decoder, {where}")
        require_learning(scene, scene.system.objective, found[len(found) - len(own) :])


def _total(terms: Terms) -> Tensor:
    return torch.stack([term.weighted for term in terms.values()]).sum()


def objective_order(subject: Subject) -> None:
    """Of order 1, it is evaluated where gradients are off; of order 2, where they are on."""
    for scene in subject.scenes():
        order = scene.system.objective.order
        require(order in (1, 2), f"order is {order!r}, expected 1 or 2")
        with own_generators():
            expected = _total(_terms(scene)).detach()
        with torch.set_grad_enabled(order > 1), own_generators():
            try:
                found = _total(_terms(scene)).detach()
            except RuntimeError as cause:
                raise Broken(
                    f"order is 1, and the loss needs gradients to be evaluated ({cause}): set order = 2"
                ) from cause
        require(
            bool(torch.isclose(expected, found, rtol=ROUNDING)),
            f"the total is {expected.item():.6g}, and {found.item():.6g} where gradients are off: set order = 2",
        )


def objective_regularizers(subject: Subject) -> None:
    """It asks for the regularizers once and returns their terms, or declares that it takes none."""
    for scene in subject.scenes():
        regularize = _Regularize(scene)
        terms = _terms(scene, regularize=regularize)
        if not scene.system.objective.regularizers:
            require(regularize.calls == 0, "regularizers is False, and it calls regularize")
            continue
        require(
            regularize.calls == 1,
            f"calls regularize {regularize.calls} times, expected once: or declare regularizers = False",
        )
        missing = [
            name for name, term in regularize.terms.items() if name not in terms or terms[name].raw is not term.raw
        ]
        require(not missing, f"leaves out the regularizers {', '.join(missing)}: return their terms with its own")


def objective_exports(subject: Subject) -> None:
    """Every entry of `exports()` has a file's name, traces, and exports at any batch size."""
    scene = subject.scenes()[0]
    scene.stir()
    for name, (module, examples) in scene.system.objective.exports().items():
        require(
            name.isidentifier() and name not in TAKEN,
            f'exports "{name}": an entry is named by an identifier other than {", ".join(TAKEN)}',
        )
        rows = torch.arange(EXPORT_ROWS)
        inputs = {
            f"input{i}": value if value.dim() == 0 else value[rows % len(value)] for i, value in enumerate(examples)
        }
        verify_export(name, module, inputs)


REGULARIZER = (
    parts.BUILDS,
    Check("scalar", regularizer_scalar, ("builds",)),
    *parts.common(_regularizer_outputs, "scalar"),
    Check("gradients", regularizer_gradients, ("scalar",)),
    Check("order", regularizer_order, ("scalar", "generator", "deterministic")),
    Check("weight", regularizer_weight, ("scalar", "seeded", "deterministic")),
    Check("needs", regularizer_needs, ("scalar",)),
    Check("adversary", regularizer_adversary, ("scalar",)),
)
OBJECTIVE = (
    parts.BUILDS,
    Check("terms", objective_terms, ("builds",)),
    *parts.common(_objective_outputs, "terms"),
    Check("gradients", objective_gradients, ("terms",)),
    Check("order", objective_order, ("terms", "deterministic")),
    Check("regularizers", objective_regularizers, ("terms",)),
    Check("exports", objective_exports, ("terms",)),
)
