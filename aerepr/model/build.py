"""From a validated spec to modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from aerepr.errors import Problem, ShapeError, SpecError
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.part import BuildContext
from aerepr.kinds.sampler import Sampler
from aerepr.model.autoencoder import Autoencoder
from aerepr.model.system import System
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec
from aerepr.spec.run import RunSpec


def build_system(spec: RunSpec, info: DataInfo, registry: Registry | None = None) -> System:
    """The modules of a spec, with initial weights that are a function of `spec.seed` alone.

    Raises:
        SpecError: a component refuses its sizes; the message says which table, and what would fit.
    """
    registry = registry or Registry()
    model = spec.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        ctx = BuildContext(data=info, latent_dim=model.latent_dim, load=registry.load)
        likelihood = _build(ctx, "likelihood", model.likelihood, "model.likelihood")
        posterior = _build(ctx, "posterior", model.posterior, "model.posterior")
        ctx = replace(ctx, K=posterior.K, P=likelihood.P)
        decoder = _build(ctx, "decoder", model.decoder, "model.decoder")
        ctx = replace(ctx, _layout=decoder.layout)
        encoder = _build(ctx, "encoder", model.encoder, "model.encoder")
        prior = _build(ctx, "prior", model.prior, "model.prior")
        features = info.shape.channels if spec.data.standardize and not info.shape.is_image else None
        autoencoder = Autoencoder(encoder, posterior, prior, decoder, likelihood, features)
        regularizers = {
            item.id: (_build(ctx, "regularizer", item, f"model.regularizers.{item.id}"), item.weight)
            for item in model.regularizers
        }
        objective = _build(ctx, "objective", model.objective, "model.objective")
        return System(autoencoder, objective, regularizers, registry)


def build_sampler(spec: RunSpec, system: System, info: DataInfo, registry: Registry | None = None) -> Sampler:
    """The spec's sampler, not yet fitted."""
    registry = registry or Registry()
    ctx = BuildContext(
        data=info,
        latent_dim=spec.model.latent_dim,
        load=registry.load,
        K=system.model.posterior.K,
        P=system.model.likelihood.P,
        _layout=system.layout,
    )
    sampler: Sampler = _build(ctx, "sampler", spec.sampler, "sampler")
    return sampler


def _build(ctx: BuildContext, kind: str, spec: ComponentSpec, path: str) -> Any:
    try:
        return ctx.build(kind, spec)
    except ShapeError as cause:
        raise SpecError("spec", [Problem(path, str(cause))]) from cause
