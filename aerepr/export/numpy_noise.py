"""The noise of a seed in NumPy: the twin of `aerepr.layers.noise.sample_noise`, for hosts without torch.

Philox4x32-10 with key (low, high half of the seed) and counter (block of four numbers, 0, row, 0). Uniform bits are equal
to torch's; normals pass through a logarithm and a square root, whose last bit differs between libraries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF

Words = NDArray[np.uint64]
Floats = NDArray[np.float32]


def sample_noise(n: int, width: int, seed: int, law: str) -> Floats:
    """Noise (n, width) of a seed; the arguments are those of the torch function."""
    blocks = (width + 3) // 4
    c0, c2 = np.broadcast_arrays(np.arange(blocks, dtype=np.uint64)[None, :], np.arange(n, dtype=np.uint64)[:, None])
    words = _philox(c0, c2, seed & MASK, (seed >> 32) & MASK)
    top = words.reshape(n, 4 * blocks)[:, :width] >> np.uint64(9)
    uniform = (top.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    return _to_normal(uniform) if law == "normal" else uniform


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


def _to_normal(uniform: Floats) -> Floats:
    q = uniform - np.float32(0.5)
    r = np.float32(0.180625) - q * q
    top = _polynomial(r, 59.109374720, 159.29113202, 50.434271938, 3.3871327179)
    centre = q * top / _polynomial(r, 67.187563600, 78.757757664, 17.895169469, 1.0)
    tail = np.sqrt(-np.log(np.minimum(uniform, np.float32(1) - uniform))) - np.float32(1.6)
    top = _polynomial(tail, 0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777)
    far = np.sign(q) * top / _polynomial(tail, 0.12021132975, 0.73700164250, 1.0)
    return np.where(np.abs(q) <= np.float32(0.425), centre, far)


def _polynomial(x: Floats, *coefficients: float) -> Floats:
    """Horner's rule, highest power first, every step rounded to float32 as torch does."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + np.float32(coefficient)
    return value
