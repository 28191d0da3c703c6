"""The noise of a seed in NumPy: the twin of `aerepr.layers.noise.sample_noise`, for hosts without torch.

docs/noise.md says the rule. Uniform bits are equal to torch's; normals pass through a logarithm, whose last bit differs
between libraries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF

Words = NDArray[np.uint64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def sample_noise(n: int, width: int, seed: int, law: str) -> Floats:
    """Noise (n, width) of a seed; the arguments, and what is refused, are those of the torch function."""
    if n < 0:
        raise ValueError("n must be 0 or more")
    return rows_noise(np.arange(n), width, seed, law)


def rows_noise(rows: NDArray[np.int64], width: int, seed: int, law: str) -> Floats:
    """The rows of `sample_noise` that have these numbers, each in [0, 2^32)."""
    if seed >> 63 != 0:
        raise ValueError("seed must be from 0 to 2^63 - 1")
    blocks = (width + 3) // 4
    c0, c2 = np.broadcast_arrays(np.arange(blocks, dtype=np.uint64)[None, :], rows.astype(np.uint64)[:, None])
    words = _philox(c0, c2, seed & MASK, (seed >> 32) & MASK)
    top = words.reshape(len(rows), 4 * blocks)[:, :width] >> np.uint64(9)
    uniform = (top.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    return _to_normal(uniform.astype(np.float64)).astype(np.float32) if law == "normal" else uniform


def _philox(c0: Words, c2: Words, key0: int, key1: int) -> Words:
    mask, half = np.uint64(MASK), np.uint64(32)
    c1, c3 = np.zeros_like(c0), np.zeros_like(c0)
    for _ in range(10):
        product0, product1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (product1 >> half) ^ c1 ^ np.uint64(key0),
            product1 & mask,
            (product0 >> half) ^ c3 ^ np.uint64(key1),
            product0 & mask,
        )
        key0, key1 = (key0 + 0x9E3779B9) & MASK, (key1 + 0xBB67AE85) & MASK
    return np.stack([c0, c1, c2, c3], axis=-1)


def _to_normal(uniform: Doubles) -> Doubles:
    q = uniform - 0.5
    r = 0.180625 - q * q
    top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
    bottom = ((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0
    tail = np.sqrt(-np.log(np.minimum(uniform, 1.0 - uniform))) - 1.6
    top_tail = ((0.17023821103 * tail + 1.3067284816) * tail + 2.7568153900) * tail + 1.4234372777
    bottom_tail = (0.12021132975 * tail + 0.73700164250) * tail + 1.0
    return np.where(np.abs(q) <= 0.425, q * top / bottom, np.sign(q) * top_tail / bottom_tail)
