"""From a run to its export folder: every format or none, written aside and put in place at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import onnx
import torch
from torch import Tensor

from aerepr.errors import AereprError, ExportError, UsageError
from aerepr.export.card import (
    CARD,
    Card,
    CardData,
    CardDimension,
    CardFile,
    CardGolden,
    CardGraph,
    CardSampler,
    CardVariable,
    golden_stride,
    sha256,
    shortest,
    write_card,
)
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import Graph, graphs
from aerepr.layers.noise import sample_noise
from aerepr.registry.registry import Registry

# How far a host's golden output may be from the card's, relative to the data range: ten times what an exporter may differ.
GOLDEN_TOLERANCE = 1e-4

GENERATOR = "philox4x32-10: key = low and high half of the seed, counter = (block, 0, row, 0), (word >> 9 + 0.5) / 2^23"


@dataclass(frozen=True)
class _Written:
    exporter: str
    exported: Exported


def export_run(run: RunView, folder: Path, names: Sequence[str], registry: Registry) -> dict[str, dict[str, Any]]:
    """Export a run in some formats, replacing an earlier export as a whole.

    Args:
        folder: where the export is to be; its parent is created.
        names: exporters, by name.

    Returns:
        `files`, file to purpose, and `max_abs_diff`, file to its largest difference from the eager model.

    Raises:
        UsageError: no exporter is named. UnknownComponent: one is not installed.
        ExportError: an exporter failed (the message says which others work), or `folder` holds something else. Whatever
            was in `folder` is then as it was.
    """
    if not names:
        raise UsageError(f"name at least one format to export to; installed: {', '.join(registry.names('exporter'))}")
    exporters = {name: _build(name, registry) for name in dict.fromkeys(names)}
    _refuse_other_content(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _aside(folder) as aside:
        written = _run_exporters(run, exporters, aside)
        card = _card(run, aside, written)
        write_card(card, aside)
        _swap(aside, folder)
    files = {name: entry.purpose for name, entry in card.files.items()}
    return {
        "files": files | {CARD: "what the files hold, their hashes, and a golden pair for a host to check itself"},
        "max_abs_diff": {name: entry.max_abs_diff for name, entry in card.files.items()},
    }


def _card(run: RunView, folder: Path, written: Sequence[_Written]) -> Card:
    """The card of the files in a folder."""
    found = graphs(run.model, run.sampler, run.codes, run.info.shape.is_image, run.objective.exports())
    decoder, sampler, *_ = found
    codes_ND = run.codes.detach().cpu()
    (values,) = decoder.outputs.values()
    measured = (values.min().item(), values.max().item())
    return Card(
        card=1,
        name=run.spec.name,
        recipe=run.spec.model.recipe,
        spec_hash=run.spec.hash(),
        aerepr=version("aerepr"),
        torch=torch.__version__,
        latent_dim=run.layout.latent_dim,
        data=CardData(
            kind=run.info.shape.kind,
            sizes=run.info.shape.sizes,
            range=(0.0, 1.0) if run.info.shape.is_image else measured,
        ),
        layout=tuple(CardVariable(name=item.name, start=item.start, stop=item.stop) for item in run.layout),
        codes=tuple(
            CardDimension(min=code.min().item(), max=code.max().item(), mean=code.mean().item()) for code in codes_ND.T
        ),
        sampler=CardSampler(
            name=run.spec.sampler.name,
            noise=run.sampler.noise,
            noise_dim=run.sampler.noise_dim,
            generator=GENERATOR + ("" if run.sampler.noise == "uniform" else "; then AS 241"),
        ),
        graphs={graph.name: _signature(graph) for graph in found},
        files={item.exported.file: _file(item, folder) for item in written},
        golden=_golden(sampler, decoder, run.sampler.noise_dim, run.sampler.noise),
    )


def _build(name: str, registry: Registry) -> Exporter:
    component = registry.load("exporter", name)
    exporter: Exporter = component(component.Spec(name=name))
    return exporter


def _run_exporters(run: RunView, exporters: dict[str, Exporter], aside: Path) -> list[_Written]:
    """Each exporter in a folder of its own, then all files together."""
    written: list[_Written] = []
    failed: dict[str, Exception] = {}
    for name, exporter in exporters.items():
        # A folder of its own shows what an exporter wrote, and keeps what a failing one left away from the rest.
        own = aside / f".{name}"
        own.mkdir()
        try:
            found = exporter.write(run, own)
            _gather(name, found, own, aside)
        except Exception as cause:
            failed[name] = cause
        else:
            written += [_Written(name, item) for item in found]
        shutil.rmtree(own)
    if failed:
        reasons = "\n".join(f"  {name}: {_reason(cause)}" for name, cause in failed.items())
        worked = [name for name in exporters if name not in failed]
        advice = (
            f"export again with only what works: {', '.join(worked)}" if worked else "no other format was asked for"
        )
        raise ExportError(f"nothing was exported, for this failed:\n{reasons}\n{advice}") from next(
            iter(failed.values())
        )
    return written


def _gather(name: str, found: list[Exported], own: Path, aside: Path) -> None:
    """Move an exporter's files to where all are."""
    stated = {item.file for item in found}
    actual = {path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file()}
    if stated != actual:
        raise ExportError(f"says it wrote {sorted(stated)}, and wrote {sorted(actual)}")
    taken = sorted(file for file in stated if (aside / file).exists())
    if taken:
        raise ExportError(f"writes {taken[0]}, which another exporter also writes")
    for file in sorted(stated):
        (aside / file).parent.mkdir(parents=True, exist_ok=True)
        (own / file).rename(aside / file)


def _file(item: _Written, folder: Path) -> CardFile:
    path = folder / item.exported.file
    opset = None
    if path.suffix == ".onnx":
        opset = next(entry.version for entry in onnx.load(path).opset_import if not entry.domain)
    return CardFile(
        purpose=item.exported.purpose,
        exporter=item.exporter,
        sha256=sha256(path),
        bytes=path.stat().st_size,
        max_abs_diff=item.exported.max_abs_diff,
        opset=opset,
    )


def _signature(graph: Graph) -> CardGraph:
    return CardGraph(
        purpose=graph.purpose,
        inputs={name: _shape(value) for name, value in graph.inputs.items()},
        outputs={name: _shape(value) for name, value in graph.outputs.items()},
    )


def _shape(value: Tensor) -> tuple[int | str, ...]:
    return ("batch", *value.shape[1:]) if value.dim() else ()


def _golden(sampler: Graph, decoder: Graph, noise_dim: int, law: str) -> CardGolden:
    noise = sample_noise(1, noise_dim, 0, law)
    with torch.no_grad():
        (z,) = sampler.eager((noise,))
        (output,) = decoder.eager((z,))
    stride = golden_stride(output.numel())
    return CardGolden(
        seed=0,
        noise=shortest(noise.numpy()),
        z=shortest(z.numpy()),
        output=shortest(output.flatten()[::stride].numpy()),
        stride=stride,
        tolerance=GOLDEN_TOLERANCE,
    )


def _reason(cause: Exception) -> str:
    return str(cause) if isinstance(cause, AereprError) else f"{type(cause).__name__}: {cause}"


def _refuse_other_content(folder: Path) -> None:
    """An export replaces the whole folder, so the folder must be an earlier export or empty."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ExportError(f"{folder} is not a folder: name another place to export to")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise ExportError(
            f"{folder} holds files that are no export and would be lost: name another folder, or empty it"
        )


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, gone afterwards unless it was renamed."""
    aside = folder.parent / f".{folder.name}.{uuid4().hex}.new"
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, folder: Path) -> None:
    """Put `aside` in the place of `folder`; if that fails, the old folder is back."""
    old = folder.parent / f".{folder.name}.{uuid4().hex}.old"
    if folder.exists():
        folder.rename(old)
    try:
        aside.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
