"""Writes torus.csv: 600 points on a torus with the normals there, and a little noise.

    python examples/data/make_torus.py

A point is ((R + r cos v) cos u, (R + r cos v) sin u, r sin v) with R = 1 and r = 0.4; its unit normal is
(cos u cos v, sin u cos v, sin v). Both angles are uniform, and normal noise of deviation 0.02 is added to all six numbers.
`quarter` is the quarter of the circle u lies in, a factor the training never sees.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def table() -> str:
    """The file's text, the same on every machine."""
    generator = np.random.Generator(np.random.PCG64(0))
    u, v = generator.uniform(0.0, 2.0 * np.pi, size=(2, 600))
    noise = generator.normal(scale=0.02, size=(600, 6))
    ring = 1.0 + 0.4 * np.cos(v)
    point = np.stack([ring * np.cos(u), ring * np.sin(u), 0.4 * np.sin(v)], axis=1)
    normal = np.stack([np.cos(u) * np.cos(v), np.sin(u) * np.cos(v), np.sin(v)], axis=1)
    values = np.concatenate([point, normal], axis=1) + noise
    quarters = np.floor(u / (np.pi / 2)).astype(int)
    lines = ["x,y,z,normal_x,normal_y,normal_z,quarter"]
    for row, quarter in zip(values, quarters, strict=True):
        lines.append(",".join(f"{value:.4f}" for value in row) + f",{quarter}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "torus.csv").write_text(table(), encoding="utf-8")
