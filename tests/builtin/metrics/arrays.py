"""Codes and classes whose scores are known."""

from __future__ import annotations

import numpy as np

SIZES = (4, 3, 5)


def classes(rows: int = 600, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> np.ndarray:
    """Independent uniform classes, every one of them among the first and among the last rows."""
    generator = np.random.default_rng(seed)
    found = generator.integers(0, sizes, size=(rows, len(sizes)))
    ends = np.stack([np.arange(max(sizes)) % size for size in sizes], axis=1)
    found[: len(ends)] = found[-len(ends) :] = ends
    return found


def noisy(y: np.ndarray, noise: float = 0.05, extra: int = 1, seed: int = 1) -> np.ndarray:
    """One dimension a factor, on a line, and `extra` of unit noise; float32."""
    generator = np.random.default_rng(seed)
    z = np.concatenate([y - y.mean(axis=0), generator.normal(size=(len(y), extra))], axis=1)
    z[:, : y.shape[1]] += noise * generator.normal(size=y.shape)
    return z.astype(np.float32)


def grid(sizes: tuple[int, ...] = SIZES) -> np.ndarray:
    """Every combination once, shuffled."""
    found = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, len(sizes))
    return np.random.default_rng(0).permutation(found)
