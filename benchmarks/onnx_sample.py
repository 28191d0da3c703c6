"""Samples an exported model with onnxruntime and numpy alone: neither aerepr nor torch is imported.

    python benchmarks/onnx_sample.py EXPORTS N SEED OUT.npz

EXPORTS is a folder that `aerepr export --to onnx` wrote, with a sampler of uniform noise such as `hybrid`. OUT.npz gets
`z` and `images`. The folder's golden pair is checked first. Any program that can multiply 32-bit integers can do the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def uniform(n: int, width: int, seed: int) -> np.ndarray:
    """Philox4x32-10 of key (low, high half of the seed) and counter (block, 0, row, 0); the top 23 bits of each word."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c2 = np.meshgrid(np.arange((width + 3) // 4, dtype=np.uint64), np.arange(n, dtype=np.uint64))
    c1, c3, k0, k1 = np.zeros_like(c0), np.zeros_like(c0), seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> half) ^ c1 ^ np.uint64(k0), b & low, (a >> half) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    words = np.stack([c0, c1, c2, c3], axis=-1).reshape(n, -1)[:, :width]
    return ((words >> np.uint64(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def run(file: Path, rows: np.ndarray) -> np.ndarray:
    """The first output of a graph with one input."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: rows})[0])


def main(exports: Path, n: int, seed: int, out: Path) -> None:
    card = json.loads((exports / "card.json").read_text())
    golden, sampler = card["golden"], card["sampler"]
    assert sampler["noise"] == "uniform", "normal noise needs one more step; see the generator named in the card"
    noise = uniform(1, sampler["noise_dim"], golden["seed"])
    assert np.array_equal(noise, np.asarray([golden["noise"]], np.float32))
    output = run(exports / "decoder.onnx", run(exports / "sampler.onnx", noise)).reshape(-1)[:: golden["stride"]]
    low, high = card["data"]["range"]
    assert np.abs(output - np.asarray(golden["output"], np.float32)).max() <= golden["tolerance"] * (high - low)
    z = run(exports / "sampler.onnx", uniform(n, sampler["noise_dim"], seed))
    images = run(exports / "decoder.onnx", z).transpose(0, 2, 3, 1)
    np.savez(out, z=z, images=images)
    assert not {"torch", "aerepr"} & set(sys.modules)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
