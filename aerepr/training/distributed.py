"""Several processes as one: the same step on slices of one global batch, by PyTorch's own process groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from aerepr.kinds.step import Step
from aerepr.model.system import System


@dataclass(frozen=True)
class World:
    """This process among all that train together."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> World:
        """The group `torchrun` announces in the environment, or a world of one."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group(cls.backend(device))
        return cls(dist.get_rank(), size)

    @staticmethod
    def backend(device: torch.device) -> str:
        """How processes reach each other; `any` asks about the host, so processes on CUDA devices need both ways."""
        return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def leave(self) -> None:
        """End the group, if there is one."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def average(self, tensors: Sequence[Tensor | None]) -> None:
        """Mean over the processes, in place."""
        if self.size == 1:
            return
        present = [tensor for tensor in tensors if tensor is not None]
        flat = torch.cat([tensor.reshape(-1) for tensor in present])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(present, flat.split([tensor.numel() for tensor in present]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set anywhere (a signal may reach one process first)."""
        if self.size == 1:
            return flag
        found = torch.tensor(float(flag))
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return bool(found)

    def gather(self, system: System, step: Step) -> Step:
        """The step over the whole global batch: parameters and codes of every process, with gradients; never images."""
        if self.size == 1 or step.params_BDK is None:
            return step
        params_BDK = _Gather.apply(step.params_BDK)
        batch = replace(step.batch, rows=_gather(step.batch.rows))
        return replace(
            step,
            batch=batch,
            params_BDK=params_BDK,
            posterior=system.model.posterior(params_BDK),
            z_BD=_Gather.apply(step.z_BD),
            noise=step.noise.over(batch.rows),  # type: ignore[attr-defined]  # the engine's own StepNoise
            extra=tuple(self.gather(system, further) for further in step.extra),
        )


def _gather(tensor: Tensor) -> Tensor:
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """All ranks' rows; backward sums what every rank's loss says of this rank's rows.

    Averaged over ranks afterwards, as all gradients are, this is the gradient of a loss computed once on all rows.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = tensor.shape[0]
        return _gather(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank() * ctx.rows : (dist.get_rank() + 1) * ctx.rows]
