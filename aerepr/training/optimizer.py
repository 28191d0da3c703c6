"""Optimizers whose state is saved by parameter name, and that skip an update on the device when told it is not finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aerepr.errors import CheckpointError
from aerepr.spec.training import OptimizerSpec


class NamedOptimizer:
    """A torch optimizer over named parameters.

    Args:
        lr: becomes a 0-dim float32 tensor, `self.lr`, that schedules write in place.
    """

    def __init__(
        self, spec: OptimizerSpec, parameters: Sequence[tuple[str, nn.Parameter]], device: torch.device
    ) -> None:
        self.names = [name for name, _ in parameters]
        self.parameters = [parameter for _, parameter in parameters]
        self.lr = torch.tensor(spec.lr, dtype=torch.float32, device=device)
        # The fused kernels take the learning rate as a tensor and honour `found_inf`, both without asking the host.
        fused = device.type in ("cpu", "cuda")
        self.inner: torch.optim.Optimizer
        if spec.name == "sgd":
            self.inner = torch.optim.SGD(
                self.parameters, lr=self.lr, momentum=spec.betas[0], weight_decay=spec.weight_decay, fused=fused
            )
        else:
            kind = torch.optim.AdamW if spec.name == "adamw" else torch.optim.Adam
            self.inner = kind(
                self.parameters,
                lr=self.lr,
                betas=spec.betas,
                eps=spec.eps,
                weight_decay=spec.weight_decay,
                amsgrad=spec.amsgrad,
                fused=fused,
            )
        self.honours_flag = fused

    def update(self, gradients: Sequence[Tensor | None], bad: Tensor) -> None:
        """One update.

        Args:
            gradients: one a parameter; None leaves that parameter and its state alone.
            bad: 0-dim float32, 1 where the step is not finite: the update is then skipped, on the device.
        """
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.honours_flag:
            self.inner.grad_scale = None  # type: ignore[attr-defined]
            self.inner.found_inf = bad  # type: ignore[attr-defined]
        elif bool(bad):
            return
        self.inner.step()
        self.inner.zero_grad(set_to_none=True)

    def state(self, prefix: str) -> dict[str, Tensor]:
        """Every tensor of the state, keyed `<prefix>/<parameter>/<key>`."""
        found = {f"{prefix}/lr": self.lr}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            for key, value in self.inner.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[f"{prefix}/{name}/{key}"] = value
        return found

    def restore(self, prefix: str, tensors: dict[str, Tensor]) -> None:
        """Put back what `state` gave.

        Raises:
            CheckpointError: it belongs to other parameters.
        """
        self.lr.copy_(tensors[f"{prefix}/lr"])
        known = dict(zip(self.names, self.parameters, strict=True))
        for key, value in tensors.items():
            if not key.startswith(f"{prefix}/") or key == f"{prefix}/lr":
                continue
            name, _, field = key.removeprefix(f"{prefix}/").rpartition("/")
            if name not in known:
                raise CheckpointError(f"the optimizer state is for a parameter {name} that this model has not")
            parameter = known[name]
            like = value.to(parameter.device)
            if value.shape == parameter.shape:
                # Same memory format as the parameter, as the optimizer itself would have made it.
                like = torch.empty_like(parameter, memory_format=torch.preserve_format, requires_grad=False).copy_(
                    value
                )
            self.inner.state[parameter][field] = like
