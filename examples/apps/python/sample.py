"""Samples of an exported decoder with numpy and onnxruntime alone: a grid as a picture, and the numbers as an array.

python sample.py exports/ [n = 64] [seed = 0] [out = samples.ppm]     writes samples.ppm and samples.npy
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def noise(rows: range, width: int, seed: int, law: str) -> np.ndarray:
    """The noise of a seed, as docs/noise.md has it."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a, c = np.meshgrid(np.arange((width + 3) // 4, dtype=np.uint64), np.asarray(rows, np.uint64))
    b, d, k, m = 0 * a, 0 * a, seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> half) ^ b ^ np.uint64(k), q & low, (p >> half) ^ d ^ np.uint64(m), p & low
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    words = np.stack([a, b, c, d], axis=-1).reshape(len(rows), -1)[:, :width]
    u = ((words >> np.uint64(9)) + 0.5) * 2.0**-23
    if law == "normal":
        q, r, t = u - 0.5, 0.180625 - (u - 0.5) ** 2, np.sqrt(-np.log(np.minimum(u, 1 - u))) - 1.6
        near = q * np.polyval([59.109374720, 159.29113202, 50.434271938, 3.3871327179], r)
        near /= np.polyval([67.187563600, 78.757757664, 17.895169469, 1.0], r)
        far = np.sign(q) * np.polyval([0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777], t)
        u = np.where(np.abs(q) <= 0.425, near, far / np.polyval([0.12021132975, 0.73700164250, 1.0], t))
    return u.astype(np.float32)


def main(exports: str, n: int = 64, seed: int = 0, out: str = "samples.ppm") -> None:
    card = json.loads(Path(exports, "card.json").read_text())
    data, law, golden = card["data"], card["sampler"], card["golden"]
    if n < 1 or not 0 <= seed < 2**63:
        sys.exit("n must be 1 or more, and seed from 0 to 2^63 - 1")
    if data["kind"] != "image" or data["sizes"][0] not in (1, 3):
        sys.exit("there is a picture only of images with 1 or 3 channels: this model decodes something else")
    sampler, decoder = (onnxruntime.InferenceSession(Path(exports, f"{part}.onnx")) for part in ("sampler", "decoder"))

    def sample(rows: range, seed: int) -> np.ndarray:
        (z,) = sampler.run(None, {"noise": noise(rows, law["noise_dim"], seed, law["noise"])})
        return decoder.run(None, {"z": z})[0]

    difference = np.abs(sample(range(1), golden["seed"]).flat[:: golden["stride"]] - np.float32(golden["output"])).max()
    if not difference <= golden["tolerance"]:
        sys.exit(f"golden output: this machine does not reproduce the exported model, it is off by {difference:.1e}")
    images = np.concatenate([sample(range(i, min(i + 64, n)), seed) for i in range(0, n, 64)])
    np.save(Path(out).with_suffix(".npy"), images)
    columns = int(np.ceil(np.sqrt(n)))
    tiles = np.pad(images, ((0, -n % columns), (0, 0), (0, 0), (0, 0))).repeat(3 // images.shape[1], axis=1)
    grid = np.concatenate([np.concatenate(list(row), axis=2) for row in np.split(tiles, len(tiles) // columns)], axis=1)
    pixels = (grid.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    Path(out).write_bytes(f"P6 {pixels.shape[1]} {pixels.shape[0]} 255\n".encode() + pixels.tobytes())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2] or sys.exit(__doc__), *map(int, sys.argv[2:4]), *sys.argv[4:5])
    except Exception as cause:  # onnxruntime's have no other class in common
        sys.exit(" ".join(str(cause).split()))
