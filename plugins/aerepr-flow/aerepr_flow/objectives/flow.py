"""Sequences as a flow of their first frame's code: z_t = z_{t-1} + grad u^k(z_{t-1}, t), each frame decoded from its code.

The loss of one batch, t = 0..T, with k the transformation of each sequence:

    distortion        sum over t of E[-log p(x_t | z_t)]
    transport         sum over t >= 1 of E[r_t^2], with the residual of the Hamilton-Jacobi equation of dynamic optimal transport,
                      r = d_t u + |grad u|^2 / 2 + f^2: the force -f^2 <= 0 is learned beside the potential
    initial           E|grad u(z_0, 0)|^2 + E f(z_0, 0)^2: no motion at t = 0
    step_divergence   sum over t >= 1 of how far the code's density is from the prior's: a surrogate, see `density.py`
    transformation    where k is inferred: KL(q(k | x_0..x_T) || uniform)

and the regularizers of the first frame, of which `kl` is the bound's rate of z_0. Published weights are 1. Where k is not given
(`supervision = "weak"`), a network over all frames says how likely each transformation is, and one is drawn by the
straight-through Gumbel softmax: its values are one-hot, its gradients those of the softmax at `temperature`.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167. What starts with `legacy_` is the authors'
code or an earlier form of it, where that departs from the mathematics.
Shape letters: B batch, C channels, H height, W width, D latent dimensions, K transformations, M networks in use (K, or 1), T frames.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from aerepr.errors import DataError, ShapeError, UsageError
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.objective import Motion, Objective
from aerepr.kinds.part import BuildContext
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Term, Terms
from aerepr.spec.base import ComponentOf, ComponentSpec, Schedulable
from aerepr_flow.density import EXACT_PRODUCTS, Rule, StepDivergence, log_volume
from aerepr_flow.fields import Fields, Point
from aerepr_flow.flow import Flow, Mixture, mixed


class FlowSpec(ComponentSpec):
    """Table `[model.objective]` with `name = "flow"`."""

    supervision: Literal["supervised", "weak"] = Field(
        "supervised", description="whether the transformation of a sequence is given, or inferred from all its frames"
    )
    sequence_encoder: Annotated[ComponentSpec, ComponentOf("encoder")] | None = Field(
        None, description="weak: network over all frames, joined as channels, that infers the transformation"
    )
    temperature: Schedulable = Field(
        1.0, gt=0, description="weak: of the softmax that gradients of the draw go through"
    )
    transformation_form: Literal["uniform", "legacy_agreement", "legacy_label"] = Field(
        "uniform",
        description="weak: what q(k|x) is held against: a uniform prior; the commonest draw of the batch; the true label",
    )
    transformation_weight: Schedulable = Field(1.0, ge=0, description="weak: factor of that term")
    transport_form: Literal["norm", "legacy_batch_mean"] = Field(
        "norm",
        description="|grad u|^2 of each code; or its mean over batch and dimensions, with the rates of a batch summed",
    )
    transport_weight: Schedulable = Field(1.0, ge=0, description="factor of the Hamilton-Jacobi residual")
    initial_weight: Schedulable = Field(1.0, ge=0, description="factor of the squared velocity and force at t = 0")
    divergence: Literal["marginal", "legacy_conditional", "legacy_softmax", "none"] = Field(
        "marginal", description="what step_divergence compares; none: no such term"
    )
    divergence_weight: Schedulable = Field(1.0, ge=0, description="factor of the step divergence")
    density: Rule = Field("exact", description="how a step changes a density")
    probes: PositiveInt = Field(1, description="hutchinson: random vectors for each code and step")
    exact_limit: PositiveInt = Field(
        64, description="exact: largest latent taken; its cost grows with the cube, and a larger one must be asked for"
    )
    diffusion: PositiveFloat = Field(
        0.1, description="rate at which each transformation's prior diffuses, at the start"
    )

    @model_validator(mode="after")
    def _parts_agree(self) -> FlowSpec:
        if (self.supervision == "weak") != (self.sequence_encoder is not None):
            found = "no sequence_encoder" if self.sequence_encoder is None else "a sequence_encoder that nothing uses"
            raise ValueError(
                f'supervision = "{self.supervision}" with {found}: a table sequence_encoder, such as {{ name = "conv" }}, goes '
                'with supervision = "weak"'
            )
        if self.divergence == "legacy_softmax" and self.density != "legacy_row_sum":
            raise ValueError(
                f'divergence = "legacy_softmax" follows single dimensions, and density = "{self.density}" gives their sum: use '
                'density = "legacy_row_sum"'
            )
        return self


class FlowObjective(Objective):
    """Distortion of every frame, optimal transport of the code, and the regularizers of the first frame.

    Attributes:
        flow: the potentials, and the step they make. force: f, one for each transformation.
        transformations: their names, in the order of labels and weights. steps: T, frames after the first.
        supervision: "supervised" or "weak".
    """

    Spec = FlowSpec
    transport_weight: Tensor
    initial_weight: Tensor
    divergence_weight: Tensor
    transformation_weight: Tensor
    temperature: Tensor

    def __init__(self, spec: FlowSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.steps, self.transformations = ctx.data.frames - 1, ctx.data.labels
        if self.steps < 1 or not self.transformations:
            raise ShapeError(
                f"flow: found data of {ctx.data.frames} frame(s), T = {self.steps}, and {len(self.transformations)} "
                "transformations; expected labelled sequences of two frames or more: use a data set of sequences"
            )
        K, D = len(self.transformations), ctx.latent_dim
        if spec.divergence != "none" and spec.density == "exact" and spec.exact_limit < D:
            operations = 2 * EXACT_PRODUCTS * D**3 * self.steps
            raise ShapeError(
                f'flow: density = "exact" of {D} latent dimensions takes {operations / 1e9:.3g} GFLOP for each sequence of '
                f"T = {self.steps} steps, three times that with gradients, and is taken up to exact_limit = "
                f'{spec.exact_limit}: use density = "laplacian" (a third of it) or "hutchinson", or set exact_limit = {D}'
            )
        self.supervision = spec.supervision
        self.transport_form = spec.transport_form
        self.transformation_form = spec.transformation_form
        self.density, self.probes = spec.density, spec.probes
        self.flow, self.force = Flow(K, D), Fields(K, D)
        self.divergence: StepDivergence | None = None
        if spec.divergence != "none":
            self.divergence = StepDivergence(spec.divergence, K, self.steps, spec.diffusion)
            self.needs_density = True
            self.needs_factorised = spec.divergence == "legacy_softmax"
        self.sequence_encoder: Encoder | None = None
        if spec.sequence_encoder is not None:
            # All frames of an image or a vector as one, of more channels; the stack ends in D units, and a layer in K.
            channels, *rest = ctx.data.shape.sizes
            shape = replace(ctx.data.shape, sizes=(ctx.data.frames * channels, *rest))
            inside = replace(ctx, data=replace(ctx.data, shape=shape, frames=1, labels=()), K=1)
            self.sequence_encoder = inside.build("encoder", spec.sequence_encoder)
            self.logits = nn.Linear(D, K)
        for name in ("transport", "initial", "divergence", "transformation"):
            self.register_buffer(f"{name}_weight", torch.tensor(getattr(spec, f"{name}_weight")))
        self.register_buffer("temperature", torch.tensor(spec.temperature))

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        """The terms above, each where it applies."""
        first = model.infer(step)
        x, z_BD = step.batch.x, first.z_BD
        mixture, terms = self._transformation(step)
        potential, force = self.flow.potential.networks(mixture.index_M), self.force.networks(mixture.index_M)
        logs: tuple[Tensor, Tensor] | None = None
        with _full_precision(z_BD):
            # The same times for every code, so the networks of time see T + 1 rows in all.
            times_T = torch.arange(self.steps + 1, dtype=potential.code_MDD.dtype, device=z_BD.device)
            shifts_MTD, rates_MTD = potential.shift(times_T), potential.shift_rate(times_T)
            pushes_MTD = force.shift(times_T)
            z_BD, weights_MB = z_BD.to(times_T.dtype), mixture.weights_MB.to(times_T.dtype)
            weights_BK = self._over_all(weights_MB, mixture.index_M)
            initial = self._initial(
                potential.at(z_BD, shifts_MTD[:, :1]), force.value(z_BD, pushes_MTD[:, :1]), weights_MB
            )
            if self.divergence is not None:
                logs = self.divergence.start(z_BD, first.posterior, first.prior)
        distortion = -first.likelihood.log_prob(step.batch.first).mean()
        transport, divergence = torch.zeros_like(distortion), torch.zeros_like(distortion)
        volumes: dict[str, Tensor] = {}
        for t in range(1, self.steps + 1):
            with _full_precision(z_BD):
                point = potential.at(z_BD, shifts_MTD[:, t : t + 1])
                force_MB = force.value(z_BD, pushes_MTD[:, t : t + 1])
                transport = transport + self._residual(point, point.rate(rates_MTD[:, t : t + 1]), force_MB, weights_MB)
                z_BD = z_BD + mixed(point.gradient_MBD, weights_MB)
                if self.divergence is not None and logs is not None:
                    volume = log_volume(self.density, point, weights_MB, self._probes(step, z_BD, t))
                    volumes |= self._by_transformation(volume, weights_BK, t)
                    log_q = logs[0] - _like(volume, logs[0])
                    logs = log_q, self.divergence.prior_after(logs[1], z_BD, t, weights_BK, first.prior)
                    divergence = divergence + self.divergence(*logs)
            distortion = distortion - model.likelihood(model.decoder(z_BD)).log_prob(x[:, t]).mean()
        own = {
            "distortion": Term(distortion),
            "transport": Term(transport, self.transport_weight),
            "initial": Term(initial, self.initial_weight),
        }
        if self.divergence is not None:
            own["step_divergence"] = Term(divergence, self.divergence_weight, volumes)
        return own | terms | regularize(first)

    def infer_weights(self, x_BTCHW: Tensor) -> Tensor:
        """How likely each transformation is, (B, K), from all frames of sequences.

        Raises:
            UsageError: the objective was told the transformation of each sequence, and has no network to infer it.
        """
        return self._inferred(x_BTCHW).softmax(dim=-1)

    def densities(
        self, z_BD: Tensor, log_q: Tensor, log_p: Tensor, t: int, weights_BK: Tensor, prior: Distribution
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of codes and of the log densities that `start` gave, with the rules of the objective.

        Args:
            z_BD: codes. log_q, log_p: of the codes and of the prior, before the step. t: its number, from 1.
            weights_BK: of the transformations. prior: of the first codes.

        Returns:
            The next codes, log q and log p: joint ones (B,), of "legacy_softmax" of single dimensions (B, D). Nothing is
            drawn: where the objective estimates a trace, this takes the trace itself.
        """
        divergence = self._divergence()
        networks = self.flow.potential.networks()
        point = networks.at(z_BD, networks.shift(z_BD.new_full((1,), float(t))))
        after_BD = z_BD + mixed(point.gradient_MBD, weights_BK.mT)
        log_q = log_q - _like(log_volume(self.density, point, weights_BK.mT), log_q)
        return after_BD, log_q, divergence.prior_after(log_p, after_BD, t, weights_BK, prior)

    def start(self, z_BD: Tensor, posterior: Distribution, prior: Distribution) -> tuple[Tensor, Tensor]:
        """log q_0 and log p_0 at the first codes, from which `densities` goes on.

        Raises:
            UsageError: the objective follows no densities.
        """
        return self._divergence().start(z_BD, posterior, prior)

    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        # One row a transformation, at other codes and times each: a file is checked where its examples lie.
        K, device = self.flow.count, self.temperature.device
        t_B = 1 + torch.arange(K, device=device) % float(self.steps)
        z_BD = torch.linspace(-2, 2, K * self.flow.latent_dim, device=device).view(K, -1)
        return {"flow_step": (self.flow, (z_BD, t_B, torch.eye(K, device=device)))}

    def motions(self) -> dict[str, Motion]:
        return {"flow_step": Motion(self.transformations, self.steps)}

    def _transformation(self, step: Step) -> tuple[Mixture, Terms]:
        """What moves each code, and the term of its inference where it is inferred."""
        label_B = step.batch.label
        if self.supervision == "supervised":
            if label_B is None:
                raise DataError(
                    "flow: found sequences without labels, expected the transformation each one shows; use a data set that "
                    'labels them, or supervision = "weak"'
                )
            return Mixture.of_labels(label_B, self.flow.count), {}
        logits_BK = self._inferred(step.batch.x)
        with _full_precision(logits_BK):
            logits_BK = logits_BK.to(torch.promote_types(logits_BK.dtype, torch.float32))
            if step.mode == "sample":
                uniform_BK = step.noise("transformation", "uniform", (self.flow.count,))
                logits_of_draw_BK = logits_BK - torch.log(-torch.log(uniform_BK))
            else:
                logits_of_draw_BK = logits_BK
            soft_BK = (logits_of_draw_BK / self.temperature).softmax(dim=-1)
            hard_BK = F.one_hot(logits_of_draw_BK.argmax(dim=-1), self.flow.count).to(soft_BK.dtype)
            drawn_BK = hard_BK + (soft_BK - soft_BK.detach())
            term = self._transformation_term(logits_BK, drawn_BK, label_B)
        return Mixture(drawn_BK.mT), {"transformation": Term(term, self.transformation_weight)}

    def _transformation_term(self, logits_BK: Tensor, drawn_BK: Tensor, label_B: Tensor | None) -> Tensor:
        if self.transformation_form == "legacy_agreement":
            # KL(one-hot of the commonest || mean): it makes a batch agree, and is useful only if a batch shares one k.
            return -drawn_BK.mean(dim=0).max().log()
        if self.transformation_form == "legacy_label":
            if label_B is None:
                raise DataError(
                    'flow: transformation_form = "legacy_label" found sequences without labels: use "uniform"'
                )
            return F.cross_entropy(logits_BK, label_B)
        log_BK = logits_BK.log_softmax(dim=-1)
        return (log_BK.exp() * log_BK).sum(dim=-1).mean() + math.log(self.flow.count)

    def _inferred(self, x_BTCHW: Tensor) -> Tensor:
        if self.sequence_encoder is None:
            raise UsageError(
                'flow: this objective was told the transformation of each sequence (supervision = "supervised"), and has no '
                "network to infer it: give the label's one-hot instead"
            )
        logits_BK: Tensor = self.logits(F.relu(self.sequence_encoder(x_BTCHW.flatten(1, 2)).squeeze(-1)))
        return logits_BK

    def _divergence(self) -> StepDivergence:
        if self.divergence is None:
            raise UsageError('flow: divergence = "none" follows no densities; use divergence = "marginal"')
        return self.divergence

    def _over_all(self, weights_MB: Tensor, index_M: Tensor | None) -> Tensor:
        """The weights of all K transformations, (B, K), from those of the networks in use."""
        if index_M is None:
            return weights_MB.mT
        return weights_MB.mT @ F.one_hot(index_M, self.flow.count).to(weights_MB.dtype)

    def _probes(self, step: Step, z_BD: Tensor, t: int) -> list[Tensor]:
        """Vectors of random signs for each code."""
        if self.density != "hutchinson":
            return []
        uniform_BPD = step.noise(f"probes{t}", "uniform", (self.probes, z_BD.shape[1]))
        return list((2 * (uniform_BPD > 0.5).to(z_BD.dtype) - 1).unbind(dim=1))

    def _by_transformation(self, volume: Tensor, weights_BK: Tensor, t: int) -> dict[str, Tensor]:
        """The log-determinants of a step, summed for each transformation, by what an error should call them."""
        volume_B1 = (
            volume.detach().flatten(1).sum(dim=-1, keepdim=True) if volume.dim() > 1 else volume.detach().unsqueeze(-1)
        )
        # Not a product: nothing of a transformation that is not shown may be infinite times zero.
        sums_K = torch.where(weights_BK.detach() != 0, volume_B1, torch.zeros_like(volume_B1)).sum(dim=0)
        return {
            f"log-determinant at t = {t} of k = {k} ({name})": sums_K[k] for k, name in enumerate(self.transformations)
        }

    def _initial(self, point: Point, force_MB: Tensor, weights_MB: Tensor) -> Tensor:
        """Squared velocity and force at t = 0, averaged over the batch: 0-dim."""
        if self.transport_form == "legacy_batch_mean":
            both_M = point.gradient_MBD.square().mean(dim=(1, 2)) + force_MB.square().mean(dim=1)
            return (weights_MB.mean(dim=1) * both_M).sum()
        velocity_BD = mixed(point.gradient_MBD, weights_MB)
        return (velocity_BD.square().sum(dim=-1) + mixed(force_MB, weights_MB).square()).mean()

    def _residual(self, point: Point, rate_MB: Tensor, force_MB: Tensor, weights_MB: Tensor) -> Tensor:
        """The squared residual of the Hamilton-Jacobi equation at one step, averaged over the batch: 0-dim."""
        if self.transport_form == "legacy_batch_mean":
            # One rate and one squared velocity for the batch, as the released code's sums and means leave them.
            square_M1 = point.gradient_MBD.square().mean(dim=(1, 2)).unsqueeze(-1)
            residual_MB = rate_MB.sum(dim=1, keepdim=True) + square_M1 / 2 + force_MB.square()
            return (weights_MB.mean(dim=1) * residual_MB.square().mean(dim=1)).sum()
        # The mixture is one potential, with one force.
        square_B = mixed(point.gradient_MBD, weights_MB).square().sum(dim=-1)
        residual_B = mixed(rate_MB, weights_MB) + square_B / 2 + mixed(force_MB, weights_MB).square()
        return residual_B.square().mean()


def _like(volume: Tensor, log_q: Tensor) -> Tensor:
    """A change of single dimensions as one of their joint density, where that is followed."""
    return volume.sum(dim=-1) if volume.dim() > log_q.dim() else volume


def _full_precision(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """float32 where a run computes in less: a rounding of I + H would be one of every log-determinant."""
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
