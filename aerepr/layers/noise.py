"""Counter-based noise: numbers that are a function of (key, counter), with no state to carry or restore.

The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), written in
64-bit integer operations so that eager PyTorch, TorchScript, CUDA and any other language give the same bits. A uniform
is the top 23 bits of a word, centred in its cell: exact in float32 and never 0 or 1. Normals come from uniforms by the
single-precision half of algorithm AS 241 (Wichura 1988).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor

MASK = 0xFFFFFFFF


def philox(c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, key0: int, key1: int) -> Tensor:
    """Four 32-bit words for each counter.

    Args:
        c0, c1, c2, c3: int64 tensors of one shape (...,), each value in [0, 2^32).
        key0, key1: in [0, 2^32).

    Returns:
        int64 (..., 4), each value in [0, 2^32).
    """
    for _ in range(10):
        # The product wraps modulo 2^64; its bits are those of the unsigned product, and the masks drop the sign.
        product0 = c0 * 0xD2511F53
        product1 = c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (
            ((product1 >> 32) & 0xFFFFFFFF) ^ c1 ^ key0,
            product1 & 0xFFFFFFFF,
            ((product0 >> 32) & 0xFFFFFFFF) ^ c3 ^ key1,
            product0 & 0xFFFFFFFF,
        )
        key0 = (key0 + 0x9E3779B9) & 0xFFFFFFFF
        key1 = (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return torch.stack([c0, c1, c2, c3], dim=-1)


def to_uniform(words: Tensor) -> Tensor:
    """32-bit words to float32 in (0, 1): 2^23 equally likely values, symmetric about 1/2."""
    return ((words >> 9).to(torch.float32) + 0.5) * 2.0**-23


def to_normal(uniform: Tensor) -> Tensor:
    """Uniforms on (0, 1) to standard normals by AS 241; the far tail of the algorithm is out of a 23-bit uniform's reach."""
    q = uniform - 0.5
    r = 0.180625 - q * q
    top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
    bottom = ((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0
    centre = q * top / bottom
    tail = torch.sqrt(-torch.log(torch.minimum(uniform, 1.0 - uniform))) - 1.6
    top = ((0.17023821103 * tail + 1.3067284816) * tail + 2.7568153900) * tail + 1.4234372777
    bottom = (0.12021132975 * tail + 0.73700164250) * tail + 1.0
    return torch.where(q.abs() <= 0.425, centre, torch.sign(q) * top / bottom)


def uniforms(rows: Tensor, width: int, step: Tensor, key: tuple[int, int]) -> Tensor:
    """Uniform noise (len(rows), width), each row a function of its own number, the step and the key alone."""
    blocks = torch.arange((width + 3) // 4, device=rows.device)
    c2, c0 = torch.broadcast_tensors(rows[:, None] & MASK, blocks[None, :])
    c1 = (step & MASK).expand_as(c0)
    c3 = ((rows >> 32) & MASK)[:, None].expand_as(c0)
    return to_uniform(philox(c0, c1, c2, c3, key[0], key[1]).flatten(1)[:, :width])


def sample_noise(n: int, width: int, seed: int, law: str) -> Tensor:
    """The noise (n, width) that a seed stands for wherever codes are sampled: eagerly, in an exported file, in another host.

    Row r depends on the seed and r alone, so the first k rows of n are the k rows of k. TorchScript compiles it;
    `aerepr.export.numpy_noise` is its twin, and docs/noise.md says it for every other language.

    Args:
        n: rows, 0 or more.
        width: numbers a row.
        seed: from 0 to 2^63 - 1; its halves are the key.
        law: "uniform", the same bits on every host, or "normal", computed from those, equal within 1e-6.

    Raises:
        ValueError: n is negative, or the seed is out of its range.
    """
    if n < 0:
        raise ValueError("n must be 0 or more")
    if seed >> 63 != 0:
        raise ValueError("seed must be from 0 to 2^63 - 1")
    return rows_noise(torch.arange(n), width, seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF, law)


def rows_noise(rows: Tensor, width: int, key0: int, key1: int, law: str) -> Tensor:
    """The rows of `sample_noise` that have these numbers.

    Args:
        rows: int64 (B,), each in [0, 2^32).
        key0, key1: low and high half of the seed; for `torch.export` 0-dim tensors do, which TorchScript cannot be told.
    """
    c0 = torch.arange((width + 3) // 4, device=rows.device)[None, :].expand(rows.shape[0], (width + 3) // 4)
    c2 = rows[:, None].expand_as(c0)
    zero = torch.zeros_like(c0)
    uniform = to_uniform(philox(c0, zero, c2, zero, key0, key1).flatten(1)[:, :width])
    # In float64, then rounded: what a logarithm's last bit differs by between hosts is far below a float32's.
    return to_normal(uniform.to(torch.float64)).to(torch.float32) if law == "normal" else uniform


def key_of(seed: int, name: str) -> tuple[int, int]:
    """The two key words of a named stream of a seed."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


class StepNoise:
    """The noise of one batch of one step: a `Noise`, keyed by (seed, step, name, global row).

    Args:
        seed: the run's seed.
        number: the step, int64, 0-dim, on the device of `rows`.
        rows: global row numbers (B,).
        stream: sets apart uses that share step and rows, such as validation or a second batch.
    """

    def __init__(self, seed: int, number: Tensor, rows: Tensor, stream: str = "train") -> None:
        self.seed = seed
        self.number = number
        self.rows = rows
        self.stream = stream

    def scoped(self, name: str) -> StepNoise:
        """The same noise with names of its own."""
        return StepNoise(self.seed, self.number, self.rows, f"{self.stream}/{name}")

    def over(self, rows: Tensor) -> StepNoise:
        """The same noise over other rows, such as those of the whole global batch."""
        return StepNoise(self.seed, self.number, rows, self.stream)

    def __call__(
        self, name: str, law: Literal["uniform", "normal"], shape: tuple[int, ...], per: Literal["row", "batch"] = "row"
    ) -> Tensor:
        width = 1
        for size in shape:
            width *= size
        rows = self.rows if per == "row" else torch.zeros(1, dtype=torch.int64, device=self.rows.device)
        uniform = uniforms(rows, width, self.number, key_of(self.seed, f"{self.stream}/{name}/{per}"))
        values = uniform if law == "uniform" else to_normal(uniform)
        return values.reshape(len(rows), *shape) if per == "row" else values.reshape(shape)
