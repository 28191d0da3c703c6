"""Flow factorized sequences: the first frame is encoded, and z_t = z_{t-1} + grad u^k(z_{t-1}, t) gives the later ones.

Each transformation k has a potential u^k and a force f^k, tied by the Hamilton-Jacobi equation of optimal transport:
the residual d_t u + |grad u|^2 / 2 + f^2 is pushed to zero, and both fields are still at t = 0.

Source: Song et al. 2023, arXiv:2309.13167, supervised: k comes with the batch. The divergence of each step is left out.
Shape letters: B batch, D latent dimensions, K transformations.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.func import grad
from torch.nn import functional as F

from aerepr.errors import DataError, ShapeError
from aerepr.kinds.objective import Objective
from aerepr.kinds.part import BuildContext
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Term, Terms
from aerepr.spec.base import ComponentSpec, Schedulable
from aerepr_probe.potential import Fields, FlowStep


class FlowSpec(ComponentSpec):
    """Table `[model.objective]` with `name = "probe_flow"`."""

    width: PositiveInt = Field(64, description="hidden units of each potential and each force")
    transport_weight: Schedulable = Field(1.0, ge=0, description="factor of the Hamilton-Jacobi residual")


class Flow(Objective):
    """Distortion of every frame, the Hamilton-Jacobi residual, and the regularizers of the first frame."""

    Spec = FlowSpec
    order = 2
    transport_weight: Tensor

    def __init__(self, spec: FlowSpec, ctx: BuildContext) -> None:
        super().__init__()
        if ctx.data.frames < 2 or len(ctx.data.labels) < 1:
            raise ShapeError(
                f"probe_flow: found data of {ctx.data.frames} frame(s) and {len(ctx.data.labels)} transformations, expected "
                "labelled sequences; use a data set such as probe_sequences"
            )
        self.count, self.latent_dim = len(ctx.data.labels), ctx.latent_dim
        self.potential = Fields(self.count, self.latent_dim, spec.width)
        self.force = Fields(self.count, self.latent_dim, spec.width)
        self.register_buffer("transport_weight", torch.tensor(spec.transport_weight))

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        if step.batch.label is None:
            raise DataError("probe_flow: found sequences without labels, expected the transformation each one shows")
        first = model.infer(step)
        x, z_BD = step.batch.x, first.z_BD
        mixture_BK = F.one_hot(step.batch.label, self.count).to(z_BD.dtype)
        distortion = -first.likelihood.log_prob(x[:, 0]).mean()
        transport = self.stillness(z_BD, mixture_BK)
        for number in range(1, x.shape[1]):
            t_B = z_BD.new_full((len(z_BD),), float(number))
            velocity_BD, residual_B = self.motion(z_BD, t_B, mixture_BK)
            z_BD = z_BD + velocity_BD
            distortion = distortion - model.likelihood(model.decoder(z_BD)).log_prob(x[:, number]).mean()
            transport = transport + residual_B.square().mean()
        own = {"distortion": Term(distortion), "transport": Term(transport, self.transport_weight)}
        return own | regularize(first)

    def motion(self, z_BD: Tensor, t_B: Tensor, mixture_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity (B, D) and Hamilton-Jacobi residual (B,) of each code."""

        def potential(z_BD: Tensor, t_B: Tensor) -> Tensor:
            return (mixture_BK * self.potential(z_BD, t_B)).sum()

        # The functional form also works where gradients are off, as they are when a run is evaluated.
        velocity_BD, rate_B = grad(potential, argnums=(0, 1))(z_BD, t_B)
        force_B = (mixture_BK * self.force(z_BD, t_B)).sum(dim=-1)
        return velocity_BD, rate_B + velocity_BD.square().sum(dim=-1) / 2 + force_B.square()

    def stillness(self, z_BD: Tensor, mixture_BK: Tensor) -> Tensor:
        """Squared velocity and force at t = 0, averaged over the batch: 0-dim."""
        t_B = z_BD.new_zeros(len(z_BD))
        velocity_BD, _ = self.motion(z_BD, t_B, mixture_BK)
        force_B = (mixture_BK * self.force(z_BD, t_B)).sum(dim=-1)
        return velocity_BD.square().sum(dim=-1).mean() + force_B.square().mean()

    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        # One row a transformation, at other codes and times each: a file is checked where its examples lie.
        mixture_BK = torch.eye(self.count, device=self.transport_weight.device)
        t_B = 1 + torch.arange(self.count, device=mixture_BK.device) % 3.0
        z_BD = torch.linspace(-2, 2, self.count * self.latent_dim, device=mixture_BK.device).view(-1, self.latent_dim)
        return {"flow_step": (FlowStep(self.potential), (z_BD, t_B, mixture_BK))}
