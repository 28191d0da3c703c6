"""Fréchet inception distance: how far reconstructions, and the samples of every sampler, are from the data.

    fid.reconstruction, fid.<sampler>:   d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^(1/2) S2 S1^(1/2))^(1/2)

between the means and covariances of what the last pooling layer (2,048 features) of the Inception network of 2015 makes of the
images. The protocol is that of pytorch-fid: floats in [0, 1] without rounding, bilinear to 299 x 299 (pixel centres kept), to
[-1, 1], grey images repeated in three channels; 50,000 samples against 50,000 rows of the split that is evaluated. Each row is
reconstructed once.

The network is torch-fidelity's. Its weights come from a file of yours, `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid,
which torch-fidelity ships under another name; nothing is downloaded. The file is read as tensors alone (PyTorch's restricted
unpickler), so it cannot run code, and a file whose SHA-256 is another is refused: its numbers would not be FID.

Moments of the data are kept in the cache, by the content of the images and of the weights.

Source: Heusel et al. 2017, arXiv:1706.08500; Leeb et al. 2023, "Structure by Architecture", figures 2, 3, 8 and 9.
Shape letters: B batch, C channels, H height, W width, F features.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn

from aerepr import atomic
from aerepr.data.cache import cache_directory
from aerepr.data.npz import read_npz
from aerepr.errors import AereprError, DataError, MissingExtra
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import LACKING_SAMPLERS, RunView
from aerepr.kinds.sampler import Sampler
from aerepr.layers.frechet import Moments, frechet_distance
from aerepr.spec.base import ComponentSpec, DataPath
from aerepr.spec.metric import MetricSeed

# What the SHA-256 of the published weights begins with, and what their file is called.
PUBLISHED = "6726825d"
FILE = f"pt_inception-2015-12-05-{PUBLISHED}.pth"

# What a key without a suffix stands for.
COUNT = 50_000

# Images in the network at once, and their side there.
_BATCH, _SIDE = 50, 299

_FEATURES = 2048

# Names what is done to images, so that moments kept by another version are not taken for those of this one.
_PREPARED = "bilinear 299, [-1, 1], pool3"


class FIDSpec(ComponentSpec):
    """Metric `fid`."""

    weights: DataPath = Field("", validate_default=True, description=f"file of the Inception weights, {FILE}")
    sha256: str = Field(
        PUBLISHED,
        pattern="^[0-9a-f]{8,64}$",
        description="what the SHA-256 of that file begins with; with another than the published one the number is no FID",
    )
    samples: PositiveInt = Field(COUNT, description="of each sampler")
    rows: PositiveInt = Field(COUNT, description="real images, and as many reconstructions")
    seed: MetricSeed = 0

    @field_validator("weights")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value:
            raise ValueError(f"name the file of Inception weights ({FILE}): --set fid.weights=PATH; none is downloaded")
        return value


class FID(Metric):
    """`reconstruction` and a number for each sampler; keys tell of other counts and weights than the protocol's."""

    Spec = FIDSpec
    needs = "run"
    protocol = (
        "squared Frechet distance, 2,048 Inception features (2015-12-05) as of pytorch-fid: floats in [0, 1], bilinear to 299; "
        "50,000 samples or reconstructions against 50,000 images, where the key does not say otherwise"
    )
    on_request = "needs a file of Inception weights, and 50,000 samples of each sampler"
    absent = LACKING_SAMPLERS
    lower_is_better = frozenset({"*"})

    def __init__(self, spec: FIDSpec) -> None:
        self.weights = Path(spec.weights)
        self.sha256 = spec.sha256
        self.samples = spec.samples
        self.rows = spec.rows
        self.seed = spec.seed

    def compute(self, run: RunView) -> dict[str, float]:
        """The distances of one run to the rows asked about.

        Raises:
            DataError: data that is no image of one or three channels, fewer rows than `rows`, or weights that are missing
                or wrong. MissingExtra: torch-fidelity is not installed. AereprError: its torchvision is for another torch.
        """
        shape = run.info.shape
        if not shape.is_image or shape.channels not in (1, 3):
            raise DataError(
                f"fid: found data that is a {shape}, expected images of 1 or 3 channels: use the metric frechet"
            )
        for name, count in (("samples", self.samples), ("rows", self.rows)):
            if count < 2:
                raise DataError(f"fid: {name} = {count}, expected 2 or more: one image has no covariance")
        inception = Inception(self.weights, self.sha256)
        data = self._data(run, inception)
        made = Moments.of((inception(run.model.decode(z_BD)) for z_BD in self._codes(run)), self.rows)
        found = {"reconstruction": frechet_distance(data, made)}
        known: dict[Sampler, float] = {}
        for name, sampler in run.samplers().items():
            if sampler not in known:
                drawn = Moments.of((inception(x) for x in run.draw(sampler, self.samples, self.seed)), self.samples)
                known[sampler] = frechet_distance(data, drawn)
            found[name] = known[sampler]
        return {f"fid.{name}{self._suffix}": value for name, value in found.items()}

    def _data(self, run: RunView, inception: Inception) -> Moments:
        """Moments of the data: those kept of the same images and weights, else computed and kept."""
        digest, count = hashlib.sha256(f"{_PREPARED} {inception.sha256} {run.info.shape}".encode()), 0
        for images in self._images(run):
            digest.update(images.cpu().numpy().tobytes())
            count += len(images)
        if count < self.rows:
            raise DataError(
                f"fid: found {count} rows, expected {self.rows}: ask for more with --rows {self.rows}; where there are no more, "
                f"--set fid.rows={count} compares those, under a key that says so"
            )
        path = cache_directory() / "fid" / f"{digest.hexdigest()}.npz"
        kept = _kept(path)
        if kept is None:
            kept = Moments.of((inception(images) for images in self._images(run)), self.rows)
            with atomic.write_aside(path) as aside:
                np.savez(aside, count=kept.count, mean=kept.mean_F.numpy(), scatter=kept.scatter_FF.numpy())
        return kept

    def _images(self, run: RunView) -> Iterator[Tensor]:
        left = self.rows
        for batch in run.evaluated():
            yield batch.first[:left]
            left -= len(batch)
            if left <= 0:
                return

    def _codes(self, run: RunView) -> Iterator[Tensor]:
        left = self.rows
        for step in run.encoded():
            yield step.z_BD[:left]
            left -= len(step.batch)
            if left <= 0:
                return

    @property
    def _suffix(self) -> str:
        """What sets these numbers apart from FID as published."""
        parts = [
            f"{name}={count}" for name, count in (("rows", self.rows), ("samples", self.samples)) if count != COUNT
        ]
        parts += [f"weights={self.sha256[:8]}"] if not self.sha256.startswith(PUBLISHED) else []
        return f"@{','.join(parts)}" if parts else ""


class Inception:
    """The network up to its last pooling layer, on the device of what it is given.

    Attributes:
        sha256: of the file of its weights.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        state, self.sha256 = _weights(path, sha256)
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as cause:
            raise MissingExtra("torch-fidelity", "fid", "the metric fid") from cause
        except RuntimeError as cause:  # what a torchvision raises whose binary was built for another torch
            raise AereprError(
                f"the metric fid: torchvision, which torch-fidelity imports, does not load beside torch {torch.__version__} "
                f"({cause}): install the torchvision of the same release and build, from where that torch came"
            ) from cause
        # The library unpickles the file it is given. It is given one that is written here, of tensors read without that.
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        with torch.random.fork_rng(devices=[]):
            try:
                network = FeatureExtractorInceptionV3(
                    "inception", [str(_FEATURES)], feature_extractor_weights_path=file
                )
            except RuntimeError as cause:
                problem = " ".join(str(cause).split())
                raise DataError(
                    f"{path}: found tensors that are not those of the Inception network, expected {FILE}: {problem[:200]}"
                ) from cause
        # Its own forward takes whole numbers and resizes as TensorFlow 1 did; the layers before `fc` are its children in order.
        self.network = nn.Sequential(*(layer for name, layer in network.named_children() if name != "fc"))
        self.network.eval().requires_grad_(False)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Features (B, 2048) of images in [0, 1], one channel or three; values beyond are cut off."""
        self.network.to(images_BCHW.device)
        colour = images_BCHW.clamp(0.0, 1.0).expand(-1, 3, -1, -1)
        return torch.cat([self.network(_prepared(part)).flatten(1) for part in colour.split(_BATCH)])


def _prepared(images_BCHW: Tensor) -> Tensor:
    """Images as the network takes them: 299 x 299, in [-1, 1]."""
    large = nn.functional.interpolate(images_BCHW, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)
    return 2 * large - 1


def _weights(path: Path, sha256: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file, and its SHA-256.

    Raises:
        DataError: it is missing, another file, or holds something else.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected the Inception weights, {FILE}: --set fid.weights=PATH")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(sha256):
        raise DataError(
            f"{path}: found a file whose SHA-256 begins with {digest[:8]}, expected {sha256}: name {FILE}, whole"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # whatever a file that is no file of tensors makes the reader raise
        raise DataError(f"{path}: not a file of tensors alone, expected {FILE}: {type(cause).__name__}") from cause
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path}: found something else than tensors by name, expected {FILE}")
    return dict(state), digest


def _kept(path: Path) -> Moments | None:
    """Moments in a file; None where there is none, or it is damaged and will be replaced."""
    try:
        found, _ = read_npz(path, ["count", "mean", "scatter"])
    except DataError:
        return None
    moments = Moments(_FEATURES)
    moments.count = int(found["count"])
    moments.mean_F, moments.scatter_FF = torch.from_numpy(found["mean"]), torch.from_numpy(found["scatter"])
    return moments
