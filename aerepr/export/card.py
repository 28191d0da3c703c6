"""`card.json`: what an export folder holds, in words any host reads, and how it checks itself.

A host computes the golden noise from the seed (or takes it as given), runs the graphs and compares. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from aerepr.errors import ExportError

CARD = "card.json"

# Largest size of the golden output as text; beyond it only every `stride`-th value is kept.
GOLDEN_BYTES = 1_000_000

# Sign, digits, point, exponent and separator of one float32.
VALUE_BYTES = 16


class _Record(BaseModel):
    """Frozen; unknown keys are left alone, so that a later version may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CardVariable(_Record):
    """Latent dimensions `start` to `stop` (not included) that belong together."""

    name: str
    start: int
    stop: int


class CardData(_Record):
    """What is decoded: `sizes` (C, H, W) or (F,), and the range of its values, for vectors as seen when exporting."""

    kind: Literal["image", "vector"]
    sizes: tuple[int, ...]
    range: tuple[float, float]


class CardDimension(_Record):
    """One latent dimension over the training codes: how far a slider goes, and where it rests."""

    min: float
    max: float
    mean: float


class CardSampler(_Record):
    """Which sampler, and the noise it takes. `generator` names the rule from seed to noise."""

    name: str
    noise: Literal["uniform", "normal"]
    noise_dim: int
    generator: str


class CardMotion(_Record):
    """Of a function (z, t, weights) to the next z: what each weight stands for; steps t = 1 .. `steps` were trained."""

    names: tuple[str, ...]
    steps: int


class CardGraph(_Record):
    """A function in the files: shapes of inputs and outputs, by name, in order; `motion` where it moves a code."""

    purpose: str
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    motion: CardMotion | None = None


class CardRounding(_Record):
    """What weights in fp16 lose and gain: PSNR in dB against the model, the size in fp32, and the time of a call over that of
    the file in fp32, with one example, where it was exported.
    """

    psnr: float
    full_bytes: int
    time_ratio: float


class CardFile(_Record):
    """One file: who wrote it, which of the card's graphs it holds, its hash, and its largest difference from the model, relative
    to the data range.

    The model is the eager one, or that one in double precision, where the file is nearer to it: see `exportable.verify`. There is
    no difference where a file computes nothing, such as a page. `rounding` is stated where weights are stored in fp16.
    """

    purpose: str
    use: str
    exporter: str
    graphs: tuple[str, ...] = ()
    sha256: str
    bytes: int
    max_abs_diff: float | None
    opset: int | None = None
    precision: Literal["fp32", "fp16"] = "fp32"
    rounding: CardRounding | None = None


class CardGolden(_Record):
    """Noise of `seed` for one example, the codes it becomes, what they decode to, and the codes that an encoder finds in that.

    `output` and `encoded` are what the model gives in double precision, if it has no part that knows single precision alone.
    `output` is flattened, every `stride`-th value (1: all). `encoded` is of the example in which each of those values stands
    `stride` times, so of `output` itself where it is whole. A host may differ by `tolerance` times the range of the data, or
    of the codes; what an encoder finds, by `encoded_tolerance` times that of the codes.
    """

    seed: int
    noise: tuple[float, ...]
    z: tuple[float, ...]
    output: tuple[float, ...]
    encoded: tuple[float, ...]
    stride: int
    tolerance: float
    encoded_tolerance: float


class Card(_Record):
    """The whole of `card.json`; `weights` is a hash of the model and the sampler, by which exports of one run are known."""

    card: Literal[1]
    name: str
    recipe: str | None
    spec_hash: str
    weights: str
    aerepr: str
    torch: str
    latent_dim: int
    data: CardData
    layout: tuple[CardVariable, ...]
    codes: tuple[CardDimension, ...]
    sampler: CardSampler
    graphs: dict[str, CardGraph]
    files: dict[str, CardFile]
    golden: CardGolden


def write_card(card: Card, folder: Path) -> None:
    """Write `card.json` into a folder, one line a key."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in card.model_dump(mode="json").items()]
    (folder / CARD).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """The card of a folder, once every file it lists has been found to have the hash it states.

    Raises:
        ExportError: there is no card, it is not one, or a file is missing or is not the one it describes.
    """
    card = parse_card(folder)
    for name, entry in card.files.items():
        check_file(folder / name, entry)
    return card


def parse_card(folder: Path) -> Card:
    """The card of a folder, whatever has become of the files.

    Raises:
        ExportError: there is no card, or it is not one.
    """
    path = folder / CARD
    try:
        card = Card.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ExportError(f"{folder} holds no {CARD}: name the folder that `aerepr export` wrote") from None
    except (ValidationError, ValueError, OSError) as cause:
        raise ExportError(
            f"{path} is not a card of this version of aerepr, or is damaged: export again ({_first(cause)})"
        ) from cause
    for name in card.files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise ExportError(f"{path} lists {name!r}, which is outside its folder")
    return card


def check_file(file: Path, entry: CardFile) -> None:
    """Refuse a file that is not the one a card describes.

    Raises:
        ExportError: it is missing, truncated or another.
    """
    if not file.is_file():
        raise ExportError(f"{file} is missing; {CARD} lists it: export again")
    if file.stat().st_size != entry.bytes:
        raise ExportError(
            f"{file} has {file.stat().st_size} bytes, expected {entry.bytes}: it is truncated or not the file {CARD} describes"
        )
    if sha256(file) != entry.sha256:
        raise ExportError(f"{file} is not the file {CARD} describes, for its SHA-256 differs: export again")


def sha256(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shortest(values: NDArray[np.float32]) -> tuple[float, ...]:
    """float32 values as the shortest decimals that read back to the same float32."""
    return tuple(float(str(value)) for value in np.asarray(values, np.float32).reshape(-1))


def golden_stride(count: int) -> int:
    """Of how many values one is kept so that the golden output stays below `GOLDEN_BYTES`."""
    return max(1, -(-count * VALUE_BYTES // GOLDEN_BYTES))


def _first(cause: Exception) -> str:
    if isinstance(cause, ValidationError):
        error = cause.errors()[0]
        return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
    return str(cause)
