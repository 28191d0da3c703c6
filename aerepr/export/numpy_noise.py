"""The noise of a seed in NumPy: the twin of `aerepr.layers.noise.sample_noise`, for hosts without torch.

docs/noise.md says the rule. Uniform bits are equal to torch's; normals pass through a logarithm, whose last bit differs
between libraries.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Where the halves of a 64-bit number are, as this machine stores them.
LOW, HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)

ROUNDS = np.arange(10, dtype=np.uint32)[:, None]

# Philox multiplies counter words 0 and 2, and adds to each half of the key after every round.
FACTORS = (0xD2511F53, 0xCD9E8D57)
STEPS = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF

# So many counters, the noise of a sample or two, are quicker one at a time: a call of NumPy costs more than a few numbers do.
FEW = 8


def sample_noise(n: int, width: int, seed: int, law: str) -> Floats:
    """Noise (n, width) of a seed; the arguments, and what is refused, are those of the torch function."""
    if n < 0:
        raise ValueError("n must be 0 or more")
    return rows_noise(np.arange(n), width, seed, law)


def rows_noise(rows: NDArray[np.int64], width: int, seed: int, law: str) -> Floats:
    """The rows of `sample_noise` that have these numbers, each in [0, 2^32); any other is refused."""
    if len(rows) and not (rows.min() >= 0 and rows.max() <= MASK):
        raise ValueError("rows must be from 0 to 2^32 - 1")
    if seed >> 63 != 0:
        raise ValueError("seed must be from 0 to 2^63 - 1")
    blocks = (width + 3) // 4
    philox = _philox_each if len(rows) * blocks <= FEW else _philox
    top = philox(rows, blocks, (seed & MASK, seed >> 32))[:, :width] >> np.uint32(9)
    uniform = (top.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    return _to_normal(uniform.astype(np.float64)).astype(np.float32) if law == "normal" else uniform


def _philox(rows: NDArray[np.int64], blocks: int, key: tuple[int, int]) -> Words:
    """Words (len(rows), 4 * blocks) of the counters (block, 0, row, 0).

    Words 0 and 2 of a counter, and words 1 and 3, are one array each.
    """
    even = np.empty((2, len(rows), blocks), np.uint32)
    even[0], even[1] = np.arange(blocks), rows[:, None]
    odd = np.zeros_like(even)
    factors = np.array(FACTORS, np.uint64)[:, None, None]
    for round_key in (np.array(key, np.uint32) + ROUNDS * np.array(STEPS, np.uint32))[:, :, None, None]:
        halves = (even * factors)[::-1].view(np.uint32)
        even, odd = halves[..., HIGH::2] ^ odd ^ round_key, halves[..., LOW::2]
    return np.stack([even[0], odd[0], even[1], odd[1]], axis=-1).reshape(len(rows), 4 * blocks)


def _philox_each(rows: NDArray[np.int64], blocks: int, key: tuple[int, int]) -> Words:
    """The same, counter by counter."""
    keys = [((key[0] + i * STEPS[0]) & MASK, (key[1] + i * STEPS[1]) & MASK) for i in range(len(ROUNDS))]
    words: list[int] = []
    for row in rows.tolist():
        for block in range(blocks):
            a, b, c, d = block, 0, row, 0
            for first, second in keys:
                one, two = FACTORS[0] * a, FACTORS[1] * c
                a, b, c, d = (two >> 32) ^ b ^ first, two & MASK, (one >> 32) ^ d ^ second, one & MASK
            words += (a, b, c, d)
    return np.array(words, np.uint32).reshape(len(rows), 4 * blocks)


def _to_normal(uniform: Doubles) -> Doubles:
    q = uniform - 0.5
    r = 0.180625 - q * q
    top = ((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
    bottom = ((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0
    tail = np.sqrt(-np.log(np.minimum(uniform, 1.0 - uniform))) - 1.6
    top_tail = ((0.17023821103 * tail + 1.3067284816) * tail + 2.7568153900) * tail + 1.4234372777
    bottom_tail = (0.12021132975 * tail + 0.73700164250) * tail + 1.0
    return np.where(np.abs(q) <= 0.425, q * top / bottom, np.sign(q) * top_tail / bottom_tail)
