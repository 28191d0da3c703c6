"""An export folder as a decoder in NumPy, without aerepr's models and, for ONNX, without torch.

ONNX files are data. TorchScript and pt2 files can carry code, so they are read only by who says they trust them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aerepr.errors import ExportError, ShapeError, UsageError
from aerepr.export.card import CARD, Card, read_card
from aerepr.export.numpy_noise import rows_noise

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
P = ParamSpec("P")

# Rows computed at once: memory does not grow with what is asked for, and what is in work stays in the caches of a processor.
CHUNK = 16


@dataclass(frozen=True)
class Functions:
    """What the files of one format can do; None where the part was not exported.

    Attributes:
        decode: codes (B, D) to examples. encode: examples to codes.
        draw: seed and int64 row numbers (B,) to codes (B, D). sample: the same to examples; left out: draw, then decode.
    """

    decode: Callable[[Floats], Floats] | None = None
    draw: Callable[[int, Rows], Floats] | None = None
    sample: Callable[[int, Rows], Floats] | None = None
    encode: Callable[[Floats], Floats] | None = None


class Decoder:
    """A decoder and its sampler, read from an export folder.

    Args:
        card: what the folder holds. functions: its files, callable.
    """

    def __init__(self, card: Card, functions: Functions) -> None:
        self.card = card
        self._functions = functions

    def decode(self, z: ArrayLike) -> Floats:
        """Decoded examples of codes.

        Args:
            z: (B, D), finite.

        Returns:
            float32 (B, *shape): images in [0, 1], vectors in the units of the data.

        Raises:
            ShapeError: z is not (B, D). UsageError: z holds something else than finite numbers.
            ExportError: the decoder was not exported.
        """
        decode = self._part(self._functions.decode, "decoder")
        codes = _checked(z, "z", (self.card.latent_dim,))
        return self._in_chunks(decode, codes, self.card.data.sizes)

    def encode(self, x: ArrayLike) -> Floats:
        """Codes (B, D) of examples (B, *shape): images in [0, 1], vectors in the units of the data.

        Raises:
            ShapeError, UsageError: as `decode`. ExportError: the encoder was not exported.
        """
        encode = self._part(self._functions.encode, "encoder")
        return self._in_chunks(encode, _checked(x, "x", self.card.data.sizes), (self.card.latent_dim,))

    def draw(self, n: int, seed: int = 0) -> Floats:
        """Codes (n, D) of a seed: those that `sample` decodes.

        Raises:
            UsageError: n is negative, or the seed out of its range. ExportError: the sampler was not exported.
        """
        draw = self._part(self._functions.draw, "sampler")
        seed, rows = _checked_seed(seed), np.arange(_checked_count(n))
        return self._in_chunks(lambda part: draw(seed, part), rows, (self.card.latent_dim,))

    def sample(self, n: int, seed: int = 0) -> Floats:
        """Decoded examples (n, *shape) of a seed; the first k of n are those of k.

        Raises:
            UsageError: as `draw`. ExportError: sampler or decoder were not exported.
        """
        draw, decode = self._part(self._functions.draw, "sampler"), self._part(self._functions.decode, "decoder")
        seed, rows = _checked_seed(seed), np.arange(_checked_count(n))
        sample = self._functions.sample or (lambda seed, part: decode(draw(seed, part)))
        return self._in_chunks(lambda part: sample(seed, part), rows, self.card.data.sizes)

    def verify(self) -> None:
        """Compare what there is with the card's golden pair.

        Raises:
            ExportError: the files do not give on this machine what the eager model gave.
        """
        golden, sampler, data = self.card.golden, self.card.sampler, self.card.data
        low, high = min(code.min for code in self.card.codes), max(code.max for code in self.card.codes)
        row, z = np.zeros(1, np.int64), np.asarray([golden.z], np.float32)
        noise = rows_noise(row, sampler.noise_dim, golden.seed, sampler.noise)
        self._compare("noise", noise, golden.noise, 1.0, golden.tolerance)
        draw, decode = self._functions.draw, self._functions.decode
        if draw is not None:
            found = self._in_chunks(lambda part: draw(golden.seed, part), row, (self.card.latent_dim,))
            self._compare("z", found, golden.z, _span(low, high), golden.tolerance)
            z = found
        if decode is not None:
            output = self._in_chunks(decode, z, data.sizes).reshape(1, -1)[:, :: golden.stride]
            self._compare("output", output, golden.output, _span(*data.range), golden.tolerance)
        if self._functions.encode is not None:
            values = np.repeat(np.asarray(golden.output, np.float32), golden.stride)[: math.prod(data.sizes)]
            x = values.reshape(1, *data.sizes)
            encoded = self._in_chunks(self._functions.encode, x, (self.card.latent_dim,))
            self._compare("encoded", encoded, golden.encoded, _span(low, high), golden.encoded_tolerance)

    @staticmethod
    def _compare(what: str, found: Floats, values: tuple[float, ...], span: float, tolerance: float) -> None:
        expected = np.asarray([values], np.float32)
        if found.shape != expected.shape:
            raise ExportError(f"golden {what}: expected shape {expected.shape}, got {found.shape}: export again")
        difference = float(np.abs(found - expected).max()) / span
        if not difference <= tolerance:
            raise ExportError(
                f"golden {what}: differs by {difference:.1e} of its range, more than {tolerance:.0e}: this machine's "
                "runtime does not reproduce the model, or the card is of another one"
            )

    def _part(self, function: Callable[P, Floats] | None, part: str) -> Callable[P, Floats]:
        if function is None:
            held = ", ".join(self.card.files)
            raise ExportError(
                f"the {part} was not exported in this format; {CARD} lists {held}: export with --part {part}"
            )
        return function

    @staticmethod
    def _in_chunks(function: Callable[[Any], Floats], rows: NDArray[Any], shape: tuple[int, ...]) -> Floats:
        try:
            parts = [function(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        except Exception as cause:
            raise ExportError(f"an exported file cannot be run: {_line(cause)}") from cause
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)


def load_decoder(
    folder: str | Path, trust: bool = False, format: Literal["onnx", "torchscript", "pt2"] = "onnx"
) -> Decoder:
    """What an export folder holds in one format, its hashes and golden pair checked.

    Args:
        folder: what `aerepr export` wrote.
        trust: whether files that can carry code may be read. format: which files to use.

    Raises:
        UsageError: TorchScript or pt2 is asked for without trust, or the format is unknown.
        ExportError: a file is missing, truncated or changed, or does not reproduce the golden pair.
    """
    folder = Path(folder)
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if format != "onnx" and not trust:
        raise UsageError(
            f"{format} files can carry code that runs when they are loaded: pass trust=True if you know where "
            f"{folder} comes from, or use the ONNX files"
        )
    card = read_card(folder)
    functions = FORMATS[format](folder, card)
    if functions == Functions():
        raise ExportError(
            f"{folder} has no file of {format}; {CARD} lists {', '.join(card.files)}: export with --to {format}"
        )
    decoder = Decoder(card, functions)
    decoder.verify()
    return decoder


def _checked(values: ArrayLike, name: str, sizes: tuple[int, ...]) -> Floats:
    """Rows of finite float32 numbers of that shape."""
    shape = f"(n, {', '.join(map(str, sizes))})"
    try:
        # Finite is asked of the float32 values, for a larger number becomes infinite on the way.
        with np.errstate(over="ignore"):
            rows = np.asarray(values).astype(np.float32)
    except (TypeError, ValueError) as cause:
        raise UsageError(f"{name} must hold numbers of shape {shape}: {cause}") from cause
    if rows.ndim != 1 + len(sizes) or rows.shape[1:] != sizes:
        raise ShapeError(f"{name} must have shape {shape}, one row an example, got {rows.shape}")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim))))
    if len(bad):
        raise UsageError(
            f"{name} must be finite, got NaN or infinity in {len(bad)} of {len(rows)} rows, the first is row {bad[0]}"
        )
    return rows


def _checked_count(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 0 <= n <= 2**32:
        raise UsageError(f"n must be a whole number from 0 to 2^32, got {n!r}")
    return int(n)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise UsageError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    return int(seed)


def _line(cause: Exception) -> str:
    """A message in one line; of a long one the last, for a runtime puts its call stack first."""
    lines = (str(cause).strip() or type(cause).__name__).splitlines()
    return lines[-1] if len(lines) > 4 else " ".join(line.strip() for line in lines)


def _span(low: float, high: float) -> float:
    """What differences are relative to: the range, 0 included, as `aerepr.layers.exportable.value_span` has it."""
    return (max(high, 0.0) - min(low, 0.0)) or 1.0


def _noise_first(card: Card, sampler: Callable[[Floats], Floats] | None) -> Callable[[int, Rows], Floats] | None:
    """A sampler of noise as a function of seed and rows."""
    if sampler is None:
        return None
    law, width = card.sampler.noise, card.sampler.noise_dim
    return lambda seed, rows: sampler(rows_noise(rows, width, seed, law))


def _from_onnx(folder: Path, card: Card) -> Functions:
    decode, sampler, encode = (
        _onnx(folder / name) if name in card.files else None
        for name in ("decoder.onnx", "sampler.onnx", "encoder.onnx")
    )
    return Functions(decode, _noise_first(card, sampler), encode=encode)


def _onnx(file: Path) -> Callable[[Floats], Floats]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if file.name == "sampler.onnx":
        # It does next to nothing, and threads of its own would go on waiting actively while the decoder wants their cores.
        options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as cause:
        raise ExportError(f"{file} cannot be read by onnxruntime {onnxruntime.__version__}: {cause}") from cause
    (name,), outputs = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))

    def run(rows: Floats) -> Floats:
        values: Floats = np.asarray(session.run(outputs, {name: rows})[0], np.float32)
        return values

    return run


def _from_torchscript(folder: Path, card: Card) -> Functions:
    # Imported here, so that ONNX decoding does not wait for torch.
    import torch

    def load(name: str) -> Any:
        if name not in card.files:
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
            try:
                return torch.jit.load(folder / name, map_location="cpu")
            except Exception as cause:
                raise ExportError(f"{folder / name} cannot be read by torch {torch.__version__}: {cause}") from cause

    decoder, sampler, encoder = load("decoder.ts"), load("sampler.ts"), load("encoder.ts")
    sampler = getattr(decoder, "sampler", sampler)
    decode, draw, encode = (_in_numpy(_as_written(module)) for module in (decoder, sampler, encoder))
    return Functions(decode, _noise_first(card, draw), encode=encode)


def _as_written(module: Any) -> Any:
    """A scripted module run as it stands in the file: what torch specialises in the first calls at a batch size takes many times as
    long as a call, and makes later ones no faster. The choice is that of this thread, for the time of the call.
    """
    if module is None:
        return None
    import torch

    def call(*inputs: Any) -> Any:
        with torch.jit.optimized_execution(False):
            return module(*inputs)

    return call


def _from_pt2(folder: Path, card: Card) -> Functions:
    import torch

    def load(name: str) -> Any:
        if name not in card.files:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return torch.export.load(folder / name).module()
            except Exception as cause:
                raise ExportError(f"{folder / name} cannot be read by torch {torch.__version__}: {cause}") from cause

    decode, sample, draw, encode = (load(f"{name}.pt2") for name in ("decode", "sample", "draw", "encode"))

    def seeded(call: Callable[..., Floats] | None) -> Callable[[int, Rows], Floats] | None:
        return None if call is None else lambda seed, rows: call(np.array(seed), rows)

    return Functions(
        decode=_in_numpy(decode),
        draw=seeded(_in_numpy(draw)) or seeded(_in_numpy(sample, 1)),
        sample=seeded(_in_numpy(sample, 0)),
        encode=_in_numpy(encode),
    )


def _in_numpy(program: Any, output: int | None = None) -> Callable[..., Floats] | None:
    """A torch program as a function of arrays, or nothing of nothing; `output` picks one of several results."""
    if program is None:
        return None
    import torch

    def call(*inputs: NDArray[Any]) -> Floats:
        with torch.no_grad():
            # A copy, for torch warns of arrays it may not write to.
            result = program(*(torch.tensor(value) for value in inputs))
        values: Floats = (result if output is None else result[output]).numpy()
        return values

    return call


FORMATS: dict[str, Callable[[Path, Card], Functions]] = {
    "onnx": _from_onnx,
    "torchscript": _from_torchscript,
    "pt2": _from_pt2,
}
