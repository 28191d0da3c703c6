"""A spec checked before a second of training: built on the meta device, where tensors have shapes and no memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from aerepr.errors import AereprError, Problem, SpecError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import has_closed_form, has_density, is_comparable, is_factorised
from aerepr.kinds.metric import Metric
from aerepr.kinds.objective import Objective
from aerepr.kinds.part import BuildContext, Part
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.sampler import Sampler
from aerepr.kinds.step import Mode, Step, Term
from aerepr.layers.exportable import Decode
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_sampler, build_system
from aerepr.model.system import PARTS, System
from aerepr.registry.registry import Registry
from aerepr.spec.run import RunSpec

# Weights, gradients and Adam's two moments, in float32.
_BYTES_PER_PARAMETER = 16


@dataclass
class Report:
    """What a check found.

    Attributes:
        parameters: `trainable`, `total`, one a part; `adversaries` apart and in neither sum.
        layout: sizes of the latent's variables. shapes: of one batch, by name.
        resolved: what components chose themselves, such as their depth, by the path of their table.
        memory: bytes, `parameters` (with gradients and optimizer), `activations` of one batch (estimate).
        exportable: what `torch.export` said of the decoder: "yes", or "no" with the reason.
        notes: what a user should know and need not mend.
    """

    latent_dim: int
    parameters: dict[str, int] = field(default_factory=dict)
    layout: list[int] = field(default_factory=list)
    resolved: dict[str, dict[str, object]] = field(default_factory=dict)
    shapes: dict[str, list[int]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    exportable: str = "not checked"
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def check(spec: RunSpec, info: DataInfo, registry: Registry | None = None, exports: bool = False) -> Report:
    """Build on the meta device, push one batch through, and hold every contract against its neighbour.

    Args:
        info: shape and size of the data. exports: also try to export the decoder, which takes seconds.
    """
    registry = registry or Registry()
    report = Report(latent_dim=spec.model.latent_dim)
    try:
        with torch.device("meta"):
            system = build_system(spec, info, registry)
            sampler = build_sampler(spec, system, info, registry)
    except SpecError as cause:
        report.problems += cause.problems
        return report
    except AereprError as cause:
        report.problems.append(Problem("model", str(cause)))
        return report
    report.parameters = _parameters(system)
    report.layout = system.layout.sizes
    report.resolved = _resolved(system, sampler)
    _push(spec, info, system, report)
    _metrics(spec, info, system, report, registry)
    _companions(spec, info, system, report, registry)
    _phases(spec, system, report)
    if not report.problems:
        _losses(spec, info, system, report)
    if exports and not report.problems:
        report.exportable = _exportable(system, spec.model.latent_dim)
    return report


def _parameters(system: System) -> dict[str, int]:
    by_part = system.learned_parameters()
    found = {part: sum(p.numel() for _, p in pairs) for part, pairs in by_part.items()}
    adversaries = sum(p.numel() for _, _, parameters in system.adversaries() for p in parameters)
    trainable = sum(p.numel() for pairs in by_part.values() for _, p in pairs if p.requires_grad)
    return {"trainable": trainable, "total": sum(found.values()), **found, "adversaries": adversaries}


def _resolved(system: System, sampler: Sampler) -> dict[str, dict[str, object]]:
    parts = {f"model.{name}": system.part(name) for name in PARTS if name != "regularizers"}
    parts |= {f"model.regularizers.{key}": module for key, module in system.terms.items()}
    parts["sampler"] = sampler
    return {path: dict(part.resolved) for path, part in parts.items() if isinstance(part, Part) and part.resolved}


def _push(spec: RunSpec, info: DataInfo, system: System, report: Report) -> None:
    """One batch through the parts, by shapes alone."""
    size = spec.train.batch_size
    activations = [0]
    # Outputs of leaf modules are what backward keeps, near enough to plan by.
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: _count(activations, out))
        for module in system.model.modules()
        if not list(module.children())
    ]
    model, D = system.model, spec.model.latent_dim
    try:
        x = torch.zeros(size, *info.shape.sizes, device="meta")
        params_BDK = model.encoder(x)
        report.shapes = {"x": list(x.shape), "params": list(params_BDK.shape)}
        if not _fits(report, "model.encoder", "gives parameters", params_BDK, (size, D, model.posterior.K)):
            return
        rows = torch.zeros(size, dtype=torch.int64, device="meta")
        noise = StepNoise(0, torch.zeros((), dtype=torch.int64, device="meta"), rows)
        drawn = noise("posterior", model.posterior.noise, model.posterior.noise_shape)
        z_BD = model.posterior.draw(params_BDK, drawn, "sample")
        raw = model.decoder(z_BD)
        mean = model.likelihood.mean(raw)
        report.shapes |= {"z": list(z_BD.shape), "raw": list(raw.shape), "mean": list(mean.shape)}
        P, (channels, *rest) = model.likelihood.P, info.shape.sizes
        fits = _fits(report, "model.posterior", "draws codes", z_BD, (size, D))
        fits &= _fits(report, "model.decoder", "gives raw output", raw, (size, P * channels, *rest))
        if fits:
            _fits(report, "model.likelihood", "gives a mean", mean, (size, *info.shape.sizes))
    except (RuntimeError, ValueError, IndexError, NotImplementedError) as cause:
        report.problems.append(Problem("model", f"one batch cannot pass: {str(cause).splitlines()[0]}"))
    finally:
        for hook in hooks:
            hook.remove()
    weights = report.parameters["total"] + report.parameters["adversaries"]
    report.memory = {"parameters": weights * _BYTES_PER_PARAMETER, "activations": activations[0]}


def _losses(spec: RunSpec, info: DataInfo, system: System, report: Report) -> None:
    """The objective with its regularizers, and the adversaries, over one batch without values."""
    size = min(spec.train.batch_size, 4)
    rows = torch.zeros(size, dtype=torch.int64, device="meta")
    number = torch.zeros((), dtype=torch.int64, device="meta")
    shape = (size, info.frames, *info.shape.sizes) if info.frames > 1 else (size, *info.shape.sizes)
    batch = Batch(
        x=torch.zeros(shape, device="meta"),
        rows=rows,
        factors=torch.zeros(size, len(info.factors), dtype=torch.int64, device="meta") if info.factors else None,
        label=torch.zeros(size, dtype=torch.int64, device="meta") if info.labels else None,
        timed=info.frames > 1,
    )
    step = Step(batch=batch, noise=StepNoise(0, number, rows), number=number, dataset_size=info.train_size)
    try:
        step = replace(step, extra=tuple(system.model.draw(step) for _ in range(system.extra_batches)))
        terms, seen = system.losses(step)
        for key, module, _ in system.adversaries():
            terms[f"{key}.adversary"] = Term(module.adversary_loss(seen))
    except AereprError as cause:
        report.problems.append(Problem("model.objective", str(cause)))
        return
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError) as cause:
        report.problems.append(
            Problem("model.objective", f"the losses of one batch fail: {str(cause).splitlines()[0]}")
        )
        return
    for name, term in terms.items():
        if term.raw.dim():
            report.problems.append(
                Problem("model.objective", f'"{name}" has shape {tuple(term.raw.shape)}, expected a scalar')
            )


def _count(total: list[int], out: Any) -> None:
    if isinstance(out, Tensor):
        total[0] += out.numel() * out.element_size()


def _fits(report: Report, path: str, verb: str, found: Tensor, expected: tuple[int, ...]) -> bool:
    if tuple(found.shape) == expected:
        return True
    report.problems.append(Problem(path, f"{verb} of shape {tuple(found.shape)}, expected {expected}"))
    return False


def _phases(spec: RunSpec, system: System, report: Report) -> None:
    """A phase must have something to learn: parts without parameters leave the optimizer nothing to do."""
    by_part = system.learned_parameters()
    able = [part for part, pairs in by_part.items() if pairs]
    for index, phase in enumerate(spec.train.phases):
        if phase.learn is not None and not set(phase.learn) & set(able):
            named = ", ".join(phase.learn)
            report.problems.append(
                Problem(
                    f"train.phases.{index}.learn",
                    f"a phase in which nothing learns: no parameters in {named}; parts that have some: {', '.join(able)}",
                )
            )


def _metrics(spec: RunSpec, info: DataInfo, system: System, report: Report, registry: Registry) -> None:
    """Metrics computed during training, held against the posterior and what is known of the data."""
    for index, item in enumerate(spec.evaluation.metrics):
        component: type[Metric] = registry.load("metric", item.name)
        lacking = lacking_modes(component, spec.model.posterior.name, system.model.posterior.modes, registry)
        if lacking:
            text = lacking
        elif component.needs == "runs":
            text = "compares several runs; it cannot be computed of one"
        elif component.needs == "codes" and component.supervised and not info.factors:
            text = "needs ground-truth factors, and this data set has none: name its factors, or leave the metric out"
        else:
            continue
        report.problems.append(Problem(f"evaluation.metrics.{index}", f'"{item.name}" {text}'))


def lacking_modes(component: type[Metric], posterior: str, modes: Sequence[Mode], registry: Registry) -> str:
    """Why a metric cannot be asked of a posterior with these modes, and which installed ones have them; "" if it can."""
    missing = set(component.modes) - set(modes)
    if not missing:
        return ""
    having = []
    for name in registry.names("posterior"):
        try:
            if set(component.modes) <= set(registry.load("posterior", name).modes):
                having.append(f'"{name}"')
        except AereprError:
            continue  # a broken plugin is reported by `plugins list`
    return (
        f'needs the posterior modes {", ".join(sorted(missing))}, and posterior "{posterior}" has {", ".join(modes)}; '
        f"those with all of them: {', '.join(having) or 'none installed'}"
    )


def _companions(spec: RunSpec, info: DataInfo, system: System, report: Report, registry: Registry) -> None:
    """Regularizers and objective, held against posterior and prior."""
    if spec.model.regularizers and not system.objective.regularizers:
        names = ", ".join(item.id for item in spec.model.regularizers)
        report.problems.append(
            Problem(
                "model.regularizers",
                f'objective "{spec.model.objective.name}" takes no regularizers, got {names}: remove them',
            )
        )
    if report.problems:
        return
    params = torch.zeros(1, spec.model.latent_dim, system.model.posterior.K, device="meta")
    posterior, prior = system.model.posterior(params), system.model.prior()
    _distributions("model.objective", "this objective", system.objective, spec, posterior, prior, report)
    for item in spec.model.regularizers:
        module = system.regularizers[item.id]
        assert isinstance(module, Regularizer)
        path = f"model.regularizers.{item.id}"
        _distributions(path, "this term", module, spec, posterior, prior, report)
        if module.needs_closed_form and has_density(posterior) and not has_closed_form(posterior, prior):
            names = f'posterior "{spec.model.posterior.name}" to prior "{spec.model.prior.name}"'
            having = ", ".join(_closed_forms(spec, info, system, posterior, registry)) or "none installed"
            report.problems.append(
                Problem(
                    path,
                    f"asks for a closed form, and KL from {names} has none; priors with one: {having}. Use one of those, or "
                    "leave closed_form out for a Monte-Carlo estimate",
                )
            )
        if spec.train.accumulate > 1:
            report.notes.append(f"{path} sees one micro-batch at a time: train.accumulate = {spec.train.accumulate}")
        has_adversary = any(True for _ in module.adversary_parameters())
        if item.optimizer is not None and not has_adversary:
            report.problems.append(
                Problem(f"{path}.optimizer", "this term has no adversary to optimise: remove the table")
            )


def _distributions(
    path: str,
    what: str,
    module: Regularizer | Objective,
    spec: RunSpec,
    posterior: Distribution,
    prior: Distribution,
    report: Report,
) -> None:
    """Posterior and prior, held against what a module says it needs of them."""
    text = ""
    if module.needs_density and not has_density(posterior):
        name = spec.model.posterior.name
        text = f'needs the density of q(z|x), and posterior "{name}" has none: use "gaussian", or remove {what}'
    elif module.needs_density and not is_comparable(posterior, prior):
        text = "the posterior has a mass and the prior a density, or the other way round"
    elif module.needs_factorised and not (is_factorised(posterior) and is_factorised(prior)):
        text = "looks at single dimensions, and posterior or prior is not factorised"
    if text:
        report.problems.append(Problem(path, text))


def _closed_forms(
    spec: RunSpec, info: DataInfo, system: System, posterior: Distribution, registry: Registry
) -> list[str]:
    """The installed priors, with their defaults, to which KL from this posterior has a closed form."""
    K, P, layout = system.model.posterior.K, system.model.likelihood.P, system.layout
    ctx = BuildContext(info, spec.model.latent_dim, registry.load, K, P, layout)
    found = []
    for name in registry.names("prior"):
        try:
            component = registry.load("prior", name)
            defaults = component.Spec.model_validate({"name": name}, context={"registry": registry})
            with torch.device("meta"):
                prior = component(defaults, ctx)()
        except (AereprError, ValueError):
            continue  # a broken plugin, or a prior that asks for settings or sizes that are not given here
        if has_closed_form(posterior, prior):
            found.append(f'"{name}"')
    return found


def _exportable(system: System, latent_dim: int) -> str:
    batch = torch.export.Dim("batch", min=1)
    z_BD = torch.zeros(2, latent_dim, device="meta")
    try:
        torch.export.export(Decode(system.model).eval(), (z_BD,), dynamic_shapes=({0: batch},), strict=False)
    except Exception as cause:  # noqa: BLE001 - whatever the exporter says is the answer
        first, *more = str(cause).strip().splitlines()
        # Where the first line names only the constraint, the second says what broke it.
        details = more[0].strip() if more and more[0].lstrip().startswith("- ") else ""
        return f"no: {first.partition(' For more information')[0]} {details.removeprefix('- ')}".rstrip()
    return "yes"
