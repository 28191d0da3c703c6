"""An export folder as a decoder in NumPy, without aerepr's models and, for ONNX, without torch.

ONNX files are data. TorchScript files can carry code, so they are read only by who says they trust them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aerepr.errors import ExportError, ShapeError, UsageError
from aerepr.export.card import CARD, Card, read_card
from aerepr.export.numpy_noise import sample_noise

Floats = NDArray[np.float32]

# Rows computed at once, so that memory does not grow with what is asked for.
CHUNK = 256


class Decoder:
    """A decoder and its sampler, read from an export folder.

    Args:
        card: what the folder holds.
        draw: noise (B, N) to codes (B, D). decode: codes (B, D) to examples (B, *shape).
    """

    def __init__(self, card: Card, draw: Callable[[Floats], Floats], decode: Callable[[Floats], Floats]) -> None:
        self.card = card
        self._draw = draw
        self._decode = decode

    def decode(self, z: ArrayLike) -> Floats:
        """Decoded examples of codes.

        Args:
            z: (B, D), finite.

        Returns:
            float32 (B, *shape): images in [0, 1], vectors in the units of the data.

        Raises:
            ShapeError: z is not (B, D). UsageError: z holds something else than finite numbers.
        """
        width = self.card.latent_dim
        try:
            # Finite is asked of the float32 values, for a larger number becomes infinite on the way.
            with np.errstate(over="ignore"):
                codes = np.asarray(z).astype(np.float32)
        except (TypeError, ValueError) as cause:
            raise UsageError(f"z must hold numbers of shape (n, {width}): {cause}") from cause
        if codes.ndim != 2 or codes.shape[1] != width:
            raise ShapeError(f"z must have shape (n, {width}), one row a code, got {codes.shape}")
        bad = np.flatnonzero(~np.isfinite(codes).all(axis=1))
        if len(bad):
            raise UsageError(
                f"z must be finite, got NaN or infinity in {len(bad)} of {len(codes)} rows, the first is row {bad[0]}"
            )
        return self._in_chunks(self._decode, codes, self.card.data.sizes)

    def draw(self, n: int, seed: int = 0) -> Floats:
        """Codes (n, D) of a seed: those that `sample` decodes.

        Raises:
            UsageError: n is negative, or the seed is not a 64-bit integer.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise UsageError(f"n must be a whole number, 0 or more, got {n!r}")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**63) <= seed < 2**63:
            raise UsageError(f"seed must be a whole number of 64 bits, got {seed!r}")
        noise = sample_noise(int(n), self.card.sampler.noise_dim, int(seed), self.card.sampler.noise)
        return self._in_chunks(self._draw, noise, (self.card.latent_dim,))

    def sample(self, n: int, seed: int = 0) -> Floats:
        """Decoded examples (n, *shape) of a seed; the first k of n are those of k.

        Raises:
            UsageError: as `draw`.
        """
        return self.decode(self.draw(n, seed))

    def verify(self) -> None:
        """Compare with the card's golden pair.

        Raises:
            ExportError: the files do not give on this machine what the eager model gave.
        """
        golden, sampler, data = self.card.golden, self.card.sampler, self.card.data
        noise = np.asarray([golden.noise], np.float32)
        low, high = min(code.min for code in self.card.codes), max(code.max for code in self.card.codes)
        z = self._in_chunks(self._draw, noise, (self.card.latent_dim,))
        checks = {
            "noise": (sample_noise(1, sampler.noise_dim, golden.seed, sampler.noise), noise, 1.0),
            "z": (z, np.asarray([golden.z], np.float32), _span(low, high)),
            "output": (
                self._in_chunks(self._decode, z, data.sizes).reshape(1, -1)[:, :: golden.stride],
                np.asarray([golden.output], np.float32),
                _span(*data.range),
            ),
        }
        for what, (found, expected, span) in checks.items():
            if found.shape != expected.shape:
                raise ExportError(f"golden {what}: expected shape {expected.shape}, got {found.shape}: export again")
            difference = float(np.abs(found - expected).max()) / span
            if not difference <= golden.tolerance:
                raise ExportError(
                    f"golden {what}: differs by {difference:.1e} of its range, more than {golden.tolerance:.0e}: this machine's "
                    "runtime does not reproduce the model, or the card is of another one"
                )

    @staticmethod
    def _in_chunks(function: Callable[[Floats], Floats], rows: Floats, shape: tuple[int, ...]) -> Floats:
        try:
            parts = [function(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        except Exception as cause:
            raise ExportError(f"the exported file cannot be run on {rows.shape[1]} numbers a row: {cause}") from cause
        return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)


def load_decoder(folder: str | Path, trust: bool = False, format: Literal["onnx", "torchscript"] = "onnx") -> Decoder:
    """The decoder of an export folder, its hashes and golden pair checked.

    Args:
        folder: what `aerepr export` wrote.
        trust: whether files that can carry code may be read. format: which files to use.

    Raises:
        UsageError: TorchScript is asked for without trust, or the format is unknown.
        ExportError: a file is missing, truncated or changed, or does not reproduce the golden pair.
    """
    folder = Path(folder)
    if format not in ("onnx", "torchscript"):
        raise UsageError(f'format must be "onnx" or "torchscript", got {format!r}')
    if format == "torchscript" and not trust:
        raise UsageError(
            "TorchScript files can carry code that runs when they are loaded: pass trust=True if you know where "
            f"{folder} comes from, or use the ONNX files"
        )
    card = read_card(folder)
    needed = ("decoder.onnx", "sampler.onnx") if format == "onnx" else ("decoder.ts",)
    missing = [name for name in needed if name not in card.files]
    if missing:
        raise ExportError(
            f"{folder} has no {missing[0]}; {CARD} lists {', '.join(card.files)}: export with --to {format}"
        )
    decoder = _from_onnx(folder, card) if format == "onnx" else _from_torchscript(folder, card)
    decoder.verify()
    return decoder


def _span(low: float, high: float) -> float:
    """What differences are relative to: the range, 0 included, as `aerepr.layers.exportable.value_span` has it."""
    return (max(high, 0.0) - min(low, 0.0)) or 1.0


def _from_onnx(folder: Path, card: Card) -> Decoder:
    return Decoder(card, draw=_onnx(folder / "sampler.onnx"), decode=_onnx(folder / "decoder.onnx"))


def _onnx(file: Path) -> Callable[[Floats], Floats]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as cause:
        raise ExportError(f"{file} cannot be read by onnxruntime {onnxruntime.__version__}: {cause}") from cause
    (name,) = [value.name for value in session.get_inputs()]

    def run(rows: Floats) -> Floats:
        values: Floats = np.asarray(session.run(None, {name: rows})[0], np.float32)
        return values

    return run


def _from_torchscript(folder: Path, card: Card) -> Decoder:
    # Imported here, so that ONNX decoding does not wait for torch.
    import torch

    file = folder / "decoder.ts"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        try:
            module = torch.jit.load(file, map_location="cpu")
        except Exception as cause:
            raise ExportError(f"{file} cannot be read by torch {torch.__version__}: {cause}") from cause

    def run(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Floats], Floats]:
        def call(rows: Floats) -> Floats:
            with torch.no_grad():
                values: Floats = function(torch.from_numpy(np.ascontiguousarray(rows))).numpy()
            return values

        return call

    return Decoder(card, draw=run(module.sampler), decode=run(module.decode))
