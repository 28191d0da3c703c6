"""Checks of what turns stored codes into new ones: samplers and traversals.

Shape letters: B batch, N noise width or number of codes, D latent dimensions, S steps.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from aerepr.conformance import parts
from aerepr.conformance.parts import EXPORT_ROWS, require_shape, restore, same
from aerepr.conformance.result import Broken, Check, generators_untouched, own_generators, require
from aerepr.conformance.world import WORLDS, Scene, Subject
from aerepr.errors import ShapeError, SpecError
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.traversal import Path, Traversal
from aerepr.layers.noise import sample_noise

B = 8


# Sampler.


def _fit(scene: Scene, codes_ND: Tensor | None = None) -> Sampler:
    sampler = scene.sampler
    sampler.fit(scene.codes() if codes_ND is None else codes_ND, scene.system.layout, scene.model.prior)
    return sampler


def _noise(sampler: Sampler, count: int) -> Tensor:
    return sample_noise(count, sampler.noise_dim, 41, sampler.noise)


def _draw(sampler: Sampler, count: int = B) -> Tensor:
    with torch.no_grad():
        z_BD: Tensor = sampler(_noise(sampler, count))
    return z_BD


def _sampler_outputs(scene: Scene) -> list[Tensor]:
    # A copy is fitted, once: whether fitting again forgets is another check.
    sampler = deepcopy(scene.sampler)
    sampler.fit(scene.codes(), scene.system.layout, scene.model.prior)
    return [_draw(sampler)]


def sampler_shape(subject: Subject) -> None:
    """Once fitted: a width and a law of noise, and codes (B, D) from it."""
    for scene in subject.scenes():
        sampler = _fit(scene)
        width, law = sampler.noise_dim, sampler.noise
        require(isinstance(width, int) and width > 0, f"noise_dim is {width!r}, expected a positive integer")
        require(law in ("uniform", "normal"), f"noise is {law!r}, expected uniform or normal")
        for count in (1, 3):
            require_shape("the output", _draw(sampler, count), (count, scene.world.latent_dim), scene)


def sampler_pure(subject: Subject) -> None:
    """The codes are a function of the noise alone: sampling changes no state, and nothing in it learns."""
    for scene in subject.scenes():
        sampler, where = _fit(scene), f"in the world of {scene.world.name}"
        before = [value.clone() for value in sampler.state_dict().values()]
        _draw(sampler)
        require(same(before, list(sampler.state_dict().values())), f"sampling changes the sampler's state, {where}")
        learned = [name for name, parameter in sampler.named_parameters() if parameter.requires_grad]
        require(not learned, f"{', '.join(learned)} can be trained: a sampler is buffers, {where}")


def sampler_rows(subject: Subject) -> None:
    """Each code depends on its own noise: the first of many are the few."""
    for scene in subject.scenes():
        sampler = _fit(scene)
        with own_generators():
            few = _draw(sampler, 3)
        with own_generators():
            many = _draw(sampler, B)[:3]
        require(
            torch.allclose(few, many, rtol=1e-5, atol=1e-6),
            f"the first codes of a batch depend on its size, in the world of {scene.world.name}",
        )


def sampler_fit(subject: Subject) -> None:
    """Fitting again forgets the codes before, and leaves codes and prior as they were."""
    for scene in subject.scenes():
        where = f"in the world of {scene.world.name}"
        codes_ND, prior = scene.codes(), [value.clone() for value in scene.model.prior.state_dict().values()]
        given_ND = codes_ND.clone()
        expected = _draw(_fit(scene, given_ND))
        require(torch.equal(given_ND, codes_ND), f"fitting writes to the codes it is given, {where}")
        require(same(prior, list(scene.model.prior.state_dict().values())), f"fitting writes to the prior, {where}")
        again = subject.scene(scene.world)
        _fit(again, again.codes(seed=77))
        require(torch.equal(_draw(_fit(again)), expected), f"a sampler fitted twice remembers the first codes, {where}")


def sampler_apart(subject: Subject) -> None:
    """Once fitted, it no longer depends on the model: training on does not change it."""
    for scene in subject.scenes():
        sampler = _fit(scene)
        before = _draw(sampler)
        with torch.no_grad():
            for value in scene.model.state_dict().values():
                if value.is_floating_point():
                    value.add_(1)
        require(
            torch.equal(_draw(sampler), before),
            f"codes change when the model learns on: copy what is kept of the prior, in the world of {scene.world.name}",
        )


def sampler_refuses(subject: Subject) -> None:
    """Without codes it says so by a `ShapeError`, unless it needs none and samples all the same."""
    for scene in subject.scenes():
        none_ND = scene.codes()[:0]
        try:
            z_BD = _draw(_fit(scene, none_ND))
        except ShapeError:
            continue
        except Exception as cause:
            raise Broken(
                f"fitting to no codes raises {type(cause).__name__}, expected a ShapeError: {cause}"
            ) from cause
        require(
            bool(z_BD.isfinite().all()), "fitted to no codes it gives numbers that are not finite: raise a ShapeError"
        )


def sampler_state(subject: Subject) -> None:
    """Its state in a sampler fitted to other codes gives the same bits."""
    for scene in subject.scenes():
        fitted = _fit(scene)
        fresh = subject.scene(scene.world, seed=1, setup=False)
        _fit(fresh, fresh.codes(seed=78))
        restore(fitted, fresh.sampler)
        require(
            torch.equal(_draw(fitted), _draw(fresh.sampler)),
            f"gives other codes after its state was saved and loaded: keep what a fit computes in buffers, in the world of "
            f"{scene.world.name}",
        )


def _sampler_exports(scene: Scene) -> dict[str, tuple[nn.Module, dict[str, Tensor]]]:
    return {"sampler": (_fit(scene), {"noise": _noise(scene.sampler, EXPORT_ROWS)})}


# Traversal.


def _traversal(subject: Subject) -> Traversal:
    component: Traversal = subject.component(subject.spec())
    return component


def traversal_builds(subject: Subject) -> None:
    """It builds from its spec."""
    _traversal(subject)


def _walks(subject: Subject) -> list[tuple[Scene, list[Path], Tensor]]:
    """Paths in every world that has variables enough, and the base codes after."""
    found, refusals = [], []
    traversal = _traversal(subject)
    for world in WORLDS:
        try:
            scene = subject.scene(world)
        except SpecError as cause:
            # What its catalogue puts beside it may ask for data of one sort, such as sequences.
            refusals.append(f"{world.name}: {cause.problems[0].message}")
            continue
        base_BD = scene.z(2)
        try:
            paths = traversal.paths(scene.view(data=False), base_BD)
        except ShapeError as cause:
            refusals.append(f"{world.name}: {cause}")
            continue
        found.append((scene, paths, base_BD))
    require(bool(found), "fits none of the worlds tried: " + "; ".join(refusals))
    return found


def traversal_paths(subject: Subject) -> None:
    """Paths of codes (S, D), float32 and finite, each with a label; the run's data is not needed."""
    for scene, paths, _ in _walks(subject):
        require(isinstance(paths, list) and len(paths) > 0, "gives no paths")
        for path in paths:
            require(isinstance(path, Path) and bool(path.label), f"gives {path!r}, expected a Path with a label")
            require_shape(f"path {path.label}", path.z_SD, (len(path.z_SD), scene.world.latent_dim), scene)
            require(len(path.z_SD) > 0, f"path {path.label} is empty")
            require(path.z_SD.dtype == torch.float32, f"path {path.label} is {path.z_SD.dtype}, expected torch.float32")


def traversal_base(subject: Subject) -> None:
    """The base codes it is given stay as they were."""
    for scene, _, base_BD in _walks(subject):
        require(torch.equal(base_BD, scene.z(2)), f"writes to the base codes, in the world of {scene.world.name}")


def traversal_generator(subject: Subject) -> None:
    """The global generators are neither read nor changed."""
    traversal = _traversal(subject)
    scene = _walks(subject)[0][0]
    with generators_untouched("a traversal"):
        traversal.paths(scene.view(data=False), scene.z(2))


def traversal_deterministic(subject: Subject) -> None:
    """The same run and base codes give the same paths."""
    traversal = _traversal(subject)
    for scene, _, _ in _walks(subject):
        found = []
        for _ in range(2):
            with own_generators():
                found.append([path.z_SD for path in traversal.paths(scene.view(data=False), scene.z(2))])
        require(same(*found), f"gives other paths when asked twice, in the world of {scene.world.name}")


_PURE = ("shape", "generator", "deterministic")

SAMPLER = (
    Check("builds", parts.builds, ("defaults",)),
    Check("shape", sampler_shape, ("builds",)),
    *(check for check in parts.common(_sampler_outputs) if check.name != "state"),
    Check("state", sampler_state, _PURE),
    Check("pure", sampler_pure, ("shape",)),
    Check("rows", sampler_rows, _PURE),
    Check("fit", sampler_fit, _PURE),
    Check("apart", sampler_apart, ("shape", "deterministic")),
    Check("refuses", sampler_refuses, ("shape",)),
    Check("export", parts.exports(_sampler_exports), (*_PURE, "rows")),
)
TRAVERSAL = (
    Check("builds", traversal_builds, ("defaults",)),
    Check("paths", traversal_paths, ("builds",)),
    Check("base", traversal_base, ("paths",)),
    Check("generator", traversal_generator, ("paths",)),
    Check("deterministic", traversal_deterministic, ("paths",)),
)
