"""From a run to its export folder: written aside, verified, and put in place at once.

A folder holds exports of one model with one sampler. Exporting one format more keeps what is there already, where it belongs to
the same weights; what does not is left out, and the answer says so. So the card and all files agree at every moment.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from aerepr import atomic
from aerepr.errors import AereprError, ExportError, FormatUnavailable, MissingExtra, PluginError, UsageError
from aerepr.export.card import (
    CARD,
    Card,
    CardData,
    CardDimension,
    CardFile,
    CardGolden,
    CardGraph,
    CardMotion,
    CardRounding,
    CardSampler,
    CardVariable,
    check_file,
    golden_stride,
    parse_card,
    sha256,
    shortest,
    write_card,
)
from aerepr.export.load import FORMATS, Decoder
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.objective import Motion
from aerepr.kinds.run import RunView
from aerepr.layers.exportable import TOLERANCE, Encode, Graph, graphs, largest_difference, standalone, value_span
from aerepr.layers.noise import sample_noise
from aerepr.registry.registry import Registry

# A host's golden output may be this many times as far from the card's as an exporter may differ, or as a file or the model does.
HOST_SLACK = 10

GENERATOR = "philox4x32-10: key = low and high half of the seed, counter = (block, 0, row, 0), (word >> 9 + 0.5) / 2^23"


# No fault of the model or of its export.
UNAVAILABLE = (FormatUnavailable, MissingExtra, PluginError)

# What systems leave in folders by themselves.
NOBODYS = {".DS_Store", "Thumbs.db", "desktop.ini"}

# Files that exporters write, which is all there is to go by where the card cannot be read.
OURS = re.compile(r"[^/]+\.(onnx|ts|pt2)|index\.html|isolate\.js|page/[^/]+\.(js|css)|runtime/[^/]+\.(js|wasm|txt)")


@dataclass(frozen=True)
class _Written:
    exporter: str
    exported: Exported


def export_run(
    run: RunView,
    folder: Path,
    names: Sequence[str],
    registry: Registry,
    parts: Sequence[str] = (),
    skip_unavailable: bool = False,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Export a run in some formats, beside what an earlier export of the same weights and sampler left.

    Args:
        folder: where the export is to be; its parent is created.
        names: exporters, by name; those they require come with them.
        parts: decoder, sampler, encoder or entries of the objective; none: all but the encoder.
        skip_unavailable: leave out a format that this machine, or what is asked for, rules out, as long as another is made.
            A format that fails otherwise, such as by its verification, is an error all the same.
        precision: fp16 stores weights in half the bits, in formats that can. Files that are there already and come along, as
            those of `onnx` with a page, keep theirs.

    Returns:
        `files`, file to purpose, `max_abs_diff`, file to its largest difference from the eager model, `bytes`, `use`, file to
        how it is called, `rounding`, file with rounded weights to what they lose and gain: of all files that are now in the
        folder. `kept`, those of earlier exports; `dropped`, file, or part of one, to why it is gone; `skipped`, format to why it
        was not made; `notices`, what to know of the formats.

    Raises:
        UsageError: no exporter is named, there is no such part or precision, or `folder` is "." or "..".
        UnknownComponent: an exporter is not installed.
        ExportError: an exporter failed. The formats that did not are in `folder` all the same, and the message says which they
            are; if none is, or if `folder` holds something else, it is as it was.
    """
    if not names:
        raise UsageError(f"name at least one format to export to; installed: {', '.join(registry.names('exporter'))}")
    if precision not in ("fp32", "fp16"):
        raise UsageError(f"precision must be fp32 or fp16, got {precision!r}")
    if folder.name in ("", ".."):
        raise UsageError(f"{folder}: name the folder itself, for it is replaced as a whole")
    exporters: dict[str, Exporter] = {}
    failed: dict[str, Exception] = {}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        along = name not in names and precision == "fp32"
        stored = _earlier_precision(folder, name, run) if along else precision
        try:
            exporters[name] = _build(name, registry, parts, stored)
        except (ExportError, PluginError, MissingExtra) as cause:
            failed[name] = cause
        else:
            wanted += [other for other in exporters[name].requires if other not in wanted]
    _refuse_other_content(folder)
    with atomic.folder_aside(folder) as aside:
        written = _run_exporters(run, exporters, aside, failed)
        if failed and not written:
            raise _failure(failed, "nothing was exported") from next(iter(failed.values()))
        card = _card(run, aside, written, parts)
        kept, dropped = _keep_earlier(folder, aside, card, run)
        files, graphs = (kept.files | card.files, kept.graphs | card.graphs) if kept else (card.files, card.graphs)
        card = card.model_copy(update={"files": files, "graphs": graphs, "golden": _widened(card.golden, files)})
        # What `load_decoder` would refuse is not put in place. ONNX stands for all: the other formats take seconds to load.
        Decoder(card, FORMATS["onnx"](aside, card)).verify()
        write_card(card, aside)
    fatal = [cause for cause in failed.values() if not (skip_unavailable and isinstance(cause, UNAVAILABLE))]
    if fatal:
        works = ", ".join(name for name in exporters if name not in failed)
        gone = f"; gone of earlier exports: {', '.join(dropped)}" if dropped else ""
        raise _failure(failed, f"not all was exported: {folder} holds what works, {works}{gone}") from fatal[0]
    made = {item.exported.file for item in written}
    return {
        "files": {name: entry.purpose for name, entry in files.items()}
        | {CARD: "what the files hold, their hashes, and a golden pair for a host to check itself"},
        "max_abs_diff": {name: entry.max_abs_diff for name, entry in files.items() if entry.max_abs_diff is not None},
        "bytes": {name: entry.bytes for name, entry in files.items()},
        "use": {name: entry.use for name, entry in files.items()},
        "rounding": {name: entry.rounding.model_dump() for name, entry in files.items() if entry.rounding is not None},
        "kept": [name for name in files if name not in made],
        "dropped": dropped,
        "skipped": {name: _reason(cause) for name, cause in failed.items()},
        "notices": [exporter.notice for name, exporter in exporters.items() if exporter.notice and name not in failed],
    }


def _keep_earlier(folder: Path, aside: Path, card: Card, run: RunView) -> tuple[Card | None, dict[str, str]]:
    """Copy to `aside` what an earlier export left in `folder`, if it is of the same weights and is whole.

    Args:
        card: of the new files.

    Returns:
        The earlier card with the files copied and their functions; what is gone, and why.
    """
    if not (folder / CARD).is_file():
        return None, {}
    try:
        earlier = parse_card(folder)
    except ExportError:
        reason = f"{CARD} was damaged or of another version, so nothing is known of it"
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return None, {name: reason for name in files if name != CARD and name not in card.files}
    rest = {name: entry for name, entry in earlier.files.items() if name not in card.files}
    other = _difference(earlier, run)
    if other:
        return None, dict.fromkeys(rest, other)
    kept, dropped = {}, {}
    for name, entry in card.files.items():
        for graph in earlier.files[name].graphs if name in earlier.files else ():
            if graph not in entry.graphs:
                dropped[f"{graph} of {name}"] = "was not asked for when the file was written anew"
    for name, entry in rest.items():
        try:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, aside / name)
            # The copy, so that what the card vouches for is what was looked at.
            check_file(aside / name, entry)
        except (OSError, ExportError):
            (aside / name).unlink(missing_ok=True)
            dropped[name] = f"was not the file {CARD} described"
        else:
            kept[name] = entry
    # Of a function that no file says it holds, nothing is known.
    stated, held = ({graph for entry in files.values() for graph in entry.graphs} for files in (earlier.files, kept))
    graphs = {name: graph for name, graph in earlier.graphs.items() if name in held or name not in stated}
    return earlier.model_copy(update={"files": kept, "graphs": graphs}), dropped


def _earlier_precision(folder: Path, exporter: str, run: RunView) -> str:
    """How an earlier export of the same weights and sampler stores the weights of that exporter's files; fp32 if there is none."""
    try:
        earlier = parse_card(folder)
    except ExportError:
        return "fp32"
    half = any(entry.precision == "fp16" for entry in earlier.files.values() if entry.exporter == exporter)
    return "fp16" if half and not _difference(earlier, run) else "fp32"


def _difference(earlier: Card, run: RunView) -> str:
    """Why files of an earlier export do not belong beside new ones of a run; empty if they do."""
    if earlier.sampler.name != run.spec.sampler.name:
        return f'was of the sampler "{earlier.sampler.name}"'
    if (earlier.spec_hash, earlier.weights) != (run.spec.hash(), _weights(run)):
        return "was of another model, or of the sampler with other settings"
    if (earlier.aerepr, earlier.torch) != (version("aerepr"), torch.__version__):
        return f"was made with aerepr {earlier.aerepr} and torch {earlier.torch}"
    return ""


def _card(run: RunView, folder: Path, written: Sequence[_Written], parts: Sequence[str]) -> Card:
    """The card of the files in a folder."""
    entries, motions = run.objective.exports(), run.objective.motions()
    asked = tuple(parts) or ("decoder", "sampler", *entries)
    found = {
        graph.name: graph
        for graph in graphs(
            run.model, run.sampler, run.codes, run.info.shape.is_image, entries, ("decoder", "sampler", *asked)
        )
    }
    decoder, sampler = found["decoder"], found["sampler"]
    codes_ND = run.codes.detach().cpu()
    (values,) = decoder.outputs.values()
    measured = (values.min().item(), values.max().item())
    return Card(
        card=1,
        name=run.spec.name,
        recipe=run.spec.model.recipe,
        spec_hash=run.spec.hash(),
        weights=_weights(run),
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
        graphs={name: _signature(graph, motions.get(name)) for name, graph in found.items() if name in asked},
        files={item.exported.file: _file(item, folder) for item in written},
        golden=_golden(run, sampler, decoder),
    )


def _weights(run: RunView) -> str:
    """SHA-256 over the tensors of everything that is exported."""
    digest = hashlib.sha256()
    modules = {"model": run.model, "sampler": run.sampler}
    modules |= {name: module for name, (module, _) in run.objective.exports().items()}
    for name, module in modules.items():
        # A model that is no module is refused by what exports it.
        state = module.state_dict() if isinstance(module, nn.Module) else {}
        for key, value in sorted(state.items()):
            digest.update(f"{name}.{key} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _build(name: str, registry: Registry, parts: Sequence[str], precision: str) -> Exporter:
    component = registry.load("exporter", name)
    settings: dict[str, Any] = {"name": name}
    if parts:
        if "parts" not in component.Spec.model_fields:
            raise FormatUnavailable("is of decoder and sampler together: leave the parts out")
        settings["parts"] = tuple(parts)
    if "precision" in component.Spec.model_fields:
        settings["precision"] = precision
    # What makes use of another's files leaves their weights to that one.
    elif precision != "fp32" and not component.requires:
        raise FormatUnavailable(f"stores no weights in {precision}: leave the precision out")
    exporter: Exporter = component(component.Spec(**settings))
    return exporter


def _run_exporters(
    run: RunView, exporters: dict[str, Exporter], aside: Path, failed: dict[str, Exception]
) -> list[_Written]:
    """Each exporter in a folder of its own, then all files together; what failed is added to `failed`."""
    written: list[_Written] = []
    for name, exporter in sorted(exporters.items(), key=lambda item: bool(item[1].requires)):
        # A folder of its own shows what an exporter wrote, and keeps what a failing one left away from the rest.
        own = aside / f".{name}"
        own.mkdir()
        try:
            missing = [other for other in exporter.requires if other in failed]
            if missing:
                raise FormatUnavailable(f"needs what {missing[0]} writes")
            found = exporter.write(run, own)
            _gather(found, own, aside)
        except UsageError:
            raise
        except Exception as cause:
            failed[name] = cause
        else:
            written += [_Written(name, item) for item in found]
        shutil.rmtree(own)
    return written


def _failure(failed: dict[str, Exception], outcome: str) -> ExportError:
    """What came of an export, and what broke."""
    reasons = "\n".join(f"  {name}: {_reason(cause)}" for name, cause in failed.items())
    return ExportError(f"{outcome}; this failed:\n{reasons}")


def _gather(found: list[Exported], own: Path, aside: Path) -> None:
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
    path, rounding = folder / item.exported.file, item.exported.rounding
    opset = None
    if path.suffix == ".onnx":
        opset = next(entry.version for entry in onnx.load(path).opset_import if not entry.domain)
    return CardFile(
        purpose=item.exported.purpose,
        use=item.exported.use,
        exporter=item.exporter,
        graphs=item.exported.graphs,
        sha256=sha256(path),
        bytes=path.stat().st_size,
        max_abs_diff=item.exported.max_abs_diff,
        opset=opset,
        precision="fp32" if rounding is None else "fp16",
        rounding=None if rounding is None else CardRounding(**asdict(rounding)),
    )


def _signature(graph: Graph, motion: Motion | None) -> CardGraph:
    return CardGraph(
        motion=None if motion is None else CardMotion(names=motion.names, steps=motion.steps),
        purpose=graph.purpose,
        inputs={name: _shape(value) for name, value in graph.inputs.items()},
        outputs={name: _shape(value) for name, value in graph.outputs.items()},
    )


def _shape(value: Tensor) -> tuple[int | str, ...]:
    return ("batch", *value.shape[1:]) if value.dim() else ()


def _golden(run: RunView, sampler: Graph, decoder: Graph) -> CardGolden:
    noise = sample_noise(1, run.sampler.noise_dim, 0, run.sampler.noise)
    encoder = Graph("encoder", "", standalone(Encode(run.model)), {}, {}, (value_span(run.codes),))
    with torch.no_grad():
        (z,) = sampler.eager((noise,))
        output, decoded_off = _exactly(decoder, z)
        stride = golden_stride(output.numel())
        kept = output.flatten()[::stride]
        # What an encoder is asked is made of what the card holds, so that a host needs no decoder for it.
        encoded, encoded_off = _exactly(encoder, kept.repeat_interleave(stride)[: output.numel()].view_as(output))
    return CardGolden(
        seed=0,
        noise=shortest(noise.numpy()),
        z=shortest(z.numpy()),
        output=shortest(kept.numpy()),
        encoded=shortest(encoded.numpy()),
        stride=stride,
        tolerance=HOST_SLACK * max(TOLERANCE, decoded_off),
        encoded_tolerance=HOST_SLACK * max(TOLERANCE, encoded_off),
    )


def _exactly(graph: Graph, value: Tensor) -> tuple[Tensor, float]:
    """What double precision gives, and how far the eager module is from it; where there is no double, what the module gives.

    Files that round as the module does, and files that round less, are both right, and may be far from each other.
    """
    (eager,), exact = graph.eager((value,)), graph.exact((value,))
    found = eager if exact is None else exact[0].float()
    if not (eager.isfinite().all() and found.isfinite().all()):
        raise ExportError(f"{graph.name} gives values that are not finite: has training diverged?")
    return found, largest_difference(found, eager, graph.ranges[0])


def _widened(golden: CardGolden, files: Mapping[str, CardFile]) -> CardGolden:
    """With tolerances that hold for these files: those with rounded weights are further from the golden example."""
    least = HOST_SLACK * max((entry.max_abs_diff or 0.0 for entry in files.values()), default=0.0)
    tolerances = {name: max(getattr(golden, name), least) for name in ("tolerance", "encoded_tolerance")}
    return golden.model_copy(update=tolerances)


def _reason(cause: Exception) -> str:
    return str(cause) if isinstance(cause, AereprError) else f"{type(cause).__name__}: {cause}"


def _refuse_other_content(folder: Path) -> None:
    """An export replaces the whole folder, so all that is in it must be from earlier exports."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ExportError(f"{folder} is not a folder: name another place to export to")
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    present = {path.relative_to(folder).as_posix() for path in files if path.name not in NOBODYS}
    if present and CARD not in present:
        raise ExportError(
            f"{folder} holds files that are no export and would be lost: name another folder, or empty it"
        )
    try:
        known = {CARD, *parse_card(folder).files} if present else set()
    except ExportError:
        # To export again is how a damaged folder is mended.
        known = {name for name in present if name == CARD or OURS.fullmatch(name)}
    foreign = sorted(present - known)
    if foreign:
        raise ExportError(
            f"{folder / foreign[0]} is of no export and would be lost: move it away, or name another folder"
        )
