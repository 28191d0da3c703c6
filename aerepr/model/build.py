"""From a validated spec to modules."""

from __future__ import annotations

from dataclasses import replace

import torch

from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.part import BuildContext
from aerepr.kinds.sampler import Sampler
from aerepr.model.autoencoder import Autoencoder
from aerepr.model.system import System
from aerepr.registry.registry import Registry
from aerepr.spec.run import RunSpec


def build_system(spec: RunSpec, info: DataInfo, registry: Registry | None = None) -> System:
    """The modules of a spec, with initial weights that are a function of `spec.seed` alone.

    Raises:
        AereprError: a component refuses its sizes; the message says which field to change.
    """
    registry = registry or Registry()
    model = spec.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        ctx = BuildContext(data=info, latent_dim=model.latent_dim, load=registry.load)
        likelihood = ctx.build("likelihood", model.likelihood)
        posterior = ctx.build("posterior", model.posterior)
        ctx = replace(ctx, K=posterior.K, P=likelihood.P)
        decoder = ctx.build("decoder", model.decoder)
        ctx = replace(ctx, _layout=decoder.layout)
        encoder = ctx.build("encoder", model.encoder)
        prior = ctx.build("prior", model.prior)
        features = info.shape.channels if spec.data.standardize and not info.shape.is_image else None
        autoencoder = Autoencoder(encoder, posterior, prior, decoder, likelihood, features)
        regularizers = {item.id: (ctx.build("regularizer", item), item.weight) for item in model.regularizers}
        return System(autoencoder, ctx.build("objective", model.objective), regularizers)


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
    sampler: Sampler = ctx.build("sampler", spec.sampler)
    return sampler

