"""Where and how a run computes: device, precision, memory format, compilation, each `auto` resolved and recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from aerepr.errors import UsageError
from aerepr.model.system import System
from aerepr.spec.training import TrainSpec


@dataclass(frozen=True)
class Numerics:
    """What the `auto` settings became."""

    device: str
    precision: str
    channels_last: bool
    compile: bool

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def active(self) -> torch.autocast:
        """The precision of a forward pass."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")

    @contextlib.contextmanager
    def kernels(self) -> Iterator[None]:
        """Kernels, backward ones too, of this precision and with one result; switches are put back afterwards."""
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic
        matmul.allow_tf32 = cudnn.allow_tf32 = self.precision == "tf32"
        cudnn.deterministic = True
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = before


def choose_device(asked: str) -> torch.device:
    """The device a spec asks for; `auto` takes the first of cuda, mps, cpu that is there.

    Raises:
        UsageError: the device is not known or not there.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as cause:
        reason = str(cause).splitlines()[0]
        raise UsageError(f'train.device: "{asked}" is not available here ({reason}): use auto or cpu') from cause
    return device


def resolve(train: TrainSpec, is_image: bool, device: torch.device) -> Numerics:
    """Settle every `auto`.

    fp32 is exact everywhere and what `auto` means off CUDA. On CUDA `auto` is tf32, whose products round to 10 bits as
    convolutions there do by default. Channels-last pays on the CPU (1.14 to 1.22 times); on CUDA eager GroupNorm
    undoes it at every block. Compilation costs minutes on the CPU and is never chosen unasked.
    """
    precision = train.precision
    if precision == "auto":
        capable = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
        precision = "tf32" if capable else "fp32"
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(f"train.precision: tf32 exists on CUDA devices only, this run is on {device.type}: use fp32")
    return Numerics(str(device), precision, is_image and device.type == "cpu", train.compile == "on")


def prepare(system: System, numerics: Numerics) -> None:
    """Move the modules to where and how they compute."""
    system.to(numerics.device)
    if numerics.channels_last:
        system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs lack this form
    if numerics.compile:
        system.model.encoder.compile()
        system.model.decoder.compile()
