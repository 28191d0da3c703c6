"""Safetensors files with hashes: written aside by their caller, verified when read. Nothing here can run code."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aerepr.errors import CheckpointError


def save(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write tensors, return the file's SHA-256. Layout of memory is not kept: every tensor is stored contiguous.

    Raises:
        OSError: the file cannot be written, such as on a full disk.
    """
    # Cloned, because the format refuses tensors that share memory.
    own = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    try:
        save_file(own, path)
    except SafetensorError as cause:
        # The library tells of the system's error in its text alone.
        number = re.search(r"\(os error (\d+)\)", str(cause))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from cause
    return digest(path)


def load(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read tensors to the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, changed since it was written, or not safetensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: missing")
    if sha256 is not None and digest(path) != sha256:
        raise CheckpointError(f"{path}: damaged: its content is not what was written (SHA-256 differs)")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as cause:
        raise CheckpointError(f"{path}: not a readable safetensors file: {cause}") from cause


def digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def restore(module: torch.nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Put a saved state into a module; buffers that a fit gave another size take the saved one.

    Raises:
        CheckpointError: names or sizes do not fit the module.
    """
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{what}: does not fit this model: "
            + "; ".join(
                filter(
                    None, [f"lacks {missing[:3]}" if missing else "", f"has unknown {unknown[:3]}" if unknown else ""]
                )
            )
        )
    parameters = {name for name, _ in module.named_parameters()}
    for key, value in tensors.items():
        owner, _, leaf = key.rpartition(".")
        place = module.get_submodule(owner)
        if own[key].shape == value.shape:
            with torch.no_grad():
                own[key].copy_(value)
        elif key in parameters:
            raise CheckpointError(f"{what}: {key} is {tuple(value.shape)}, this model has {tuple(own[key].shape)}")
        else:
            setattr(place, leaf, value.to(own[key].device))
