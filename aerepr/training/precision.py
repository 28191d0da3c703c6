"""Where and how a run computes: device, precision, memory format, compilation, each `auto` resolved and recorded.

A precision that `auto` would take is first held against fp32 on the device itself: one convolution, GroupNorm and linear
layer, forward and backward, at fixed inputs. Written with m explicit bits of mantissa, a number is off by at most
2^-(m+1) of itself, so a product of two rounded factors by 2^-m; the longest chain of the comparison is four products
(convolution and linear layer, there and back), so the bound is 4 * 2^-m of the norm. Rounding errors are as often up as
down and reach a small part of it; a mode with fewer bits than it says, or a kernel that is wrong, exceeds it.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from aerepr.errors import UsageError
from aerepr.layers.noise import key_of, to_normal, uniforms
from aerepr.model.system import System
from aerepr.spec.training import TrainSpec

# Explicit bits of the mantissa that the factors of a product keep.
MANTISSA = {"tf32": 10, "bf16": 7}
PRODUCTS = 4


@dataclass(frozen=True)
class Check:
    """A precision held against fp32 on the device of a run.

    Attributes:
        mode: the precision. error: the largest relative error found, in norm; `of` says of what.
        bound: the error up to which the mode passes.
    """

    mode: str
    error: float
    of: str
    bound: float

    @property
    def passed(self) -> bool:
        return self.error <= self.bound

    def record(self) -> dict[str, Any]:
        """For env.json; JSON has no infinity, so an error that is not finite is written as null."""
        return asdict(self) | {"error": self.error if math.isfinite(self.error) else None, "passed": self.passed}


@dataclass(frozen=True)
class Numerics:
    """What the `auto` settings became, and the check behind a precision chosen by `auto`, where one was made."""

    device: str
    precision: str
    channels_last: bool
    compile: bool
    check: Check | None = None

    def record(self) -> dict[str, Any]:
        """For env.json."""
        return asdict(self) | {"check": None if self.check is None else self.check.record()}

    @property
    def warning(self) -> str | None:
        """What a user should know of the precision."""
        if self.check is None or self.check.passed:
            return None
        return (
            f"train.precision: auto would be {self.check.mode} on {self.device}, but its {self.check.of} is off by "
            f"{self.check.error:.2g} of fp32, more than {self.check.bound:.2g}: fp32 is used"
        )

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


def choose_device(asked: str, where: str = "train.device") -> torch.device:
    """The device that is asked for; `auto` takes the first of cuda, mps, cpu that is there.

    Of several processes on one machine each takes the CUDA device of its number, unless one is named.

    Args:
        where: how messages call the setting.

    Raises:
        UsageError: the device is not known or not there.
    """
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if asked == "cuda" and "LOCAL_RANK" in os.environ:
        asked = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as cause:
        reason = str(cause).splitlines()[0]
        raise UsageError(f'{where}: "{asked}" is not available here ({reason}): use auto or cpu') from cause
    return device


def resolve(train: TrainSpec, is_image: bool, device: torch.device) -> Numerics:
    """Settle every `auto`.

    Precision: fp32 is exact everywhere and what `auto` means off CUDA. On CUDA `auto` is tf32, whose products round to 10
    bits as convolutions there do by default, if it passes its check on the device; speed is not compared. bf16 is never
    chosen unasked. What is asked for by name is used without a check.

    Memory format: no setting; channels-last for images on the CPU, where it pays (1.14 to 1.22 times). On CUDA eager
    GroupNorm undoes it at every block. Fused optimizers: no setting; wherever PyTorch has them (CPU and CUDA).
    Compilation: `auto` is off, for it costs minutes on the CPU.
    """
    precision: str = train.precision
    check: Check | None = None
    if precision == "auto":
        mode = candidate(device)
        check = None if mode is None else compare(mode, device)
        precision = "fp32" if check is None or not check.passed else check.mode
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(f"train.precision: tf32 exists on CUDA devices only, this run is on {device.type}: use fp32")
    settled = plain(is_image, device)
    return replace(settled, precision=precision, compile=train.compile == "on", check=check)


def plain(is_image: bool, device: torch.device) -> Numerics:
    """How a finished run computes: fp32, in the memory format it was trained in, uncompiled."""
    return Numerics(str(device), "fp32", is_image and device.type == "cpu", False)


def candidate(device: torch.device) -> str | None:
    """The precision that `auto` takes on a device if it passes; None where fp32 needs no rival."""
    capable = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
    return "tf32" if capable else None


def layers(mode: str, device: torch.device) -> dict[str, Tensor]:
    """Output and gradients of convolution, GroupNorm, SiLU and linear layer, computed as a run in this precision would."""
    numerics = Numerics(str(device), mode, False, False)
    shapes = {"input": (32, 64, 16, 16), "convolution": (64, 64, 3, 3), "linear": (128, 4096), "pull": (32, 128)}
    values = {name: _normal(name, shape, device) for name, shape in shapes.items()}
    x, kernel, matrix = (values[name].requires_grad_() for name in ("input", "convolution", "linear"))
    with numerics.kernels():
        with numerics.active():
            features = functional.silu(functional.group_norm(functional.conv2d(x, kernel / 24, None, 2, 1), 8))
            output = functional.linear(features.flatten(1), matrix / 64)
        gradients = torch.autograd.grad((output.float() * values["pull"]).sum(), [x, kernel, matrix])
    names = ("input gradient", "convolution gradient", "linear gradient")
    return {"output": output.detach(), **dict(zip(names, gradients, strict=True))}


def compare(
    mode: str, device: torch.device, compute: Callable[[str, torch.device], dict[str, Tensor]] = layers
) -> Check:
    """Hold a precision against fp32.

    Args:
        compute: named tensors, computed in a precision on a device.
    """
    errors = {}
    exact = layers("fp32", device)
    for name, found in compute(mode, device).items():
        difference = torch.linalg.vector_norm(found.double() - exact[name].double())
        error = float(difference / torch.linalg.vector_norm(exact[name].double()))
        errors[name] = error if math.isfinite(error) else math.inf
    worst = max(errors, key=lambda name: errors[name])
    return Check(mode, errors[worst], worst, PRODUCTS * 2.0 ** -MANTISSA[mode])


def _normal(name: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normals that are the same on every device and at every call."""
    rows, step = torch.arange(shape[0], device=device), torch.zeros((), dtype=torch.int64, device=device)
    return to_normal(uniforms(rows, math.prod(shape[1:]), step, key_of(0, f"precision/{name}"))).reshape(shape)


def prepare(system: System, numerics: Numerics) -> None:
    """Move the modules to where and how they compute."""
    system.to(numerics.device)
    if numerics.channels_last:
        system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs lack this form
    if numerics.compile:
        system.model.encoder.compile()
        system.model.decoder.compile()
