"""`aerepr data list`, `where`, `fetch`, `verify`: the published files of data sets, by their cards.

A card stands in the `registry.toml` of the package that ships the data set. Nothing here but `verify` opens a data set.
"""

from __future__ import annotations

import dataclasses
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from aerepr.atomic import folder_aside
from aerepr.data.cache import data_directory
from aerepr.data.download import Progress, download, file_hash
from aerepr.errors import AereprError, DataError, UsageError
from aerepr.registry.card import Card, FileCard
from aerepr.workflows import catalogue

if TYPE_CHECKING:
    from aerepr.spec.data import DatasetSpec

State = Literal["ok", "missing", "unpacked", "wrong size", "wrong hash", "not verifiable"]
_GOOD: tuple[State, ...] = ("ok", "unpacked", "not verifiable")


def listing() -> list[dict[str, Any]]:
    """Every data set: what `plugins list` says of it, and of a published one also its `card`, its size in bytes (None
    where not known), and how much of it is `present`: "yes", "part" or "no".
    """
    registry = catalogue.here()
    rows = []
    for row in catalogue.components(registry, "dataset"):
        # A name that two packages claim has no card: which one would it be?
        card = None if row.problem else registry.note("dataset", row.name).card
        facts = (None, None, None) if card is None else (dataclasses.asdict(card), card.size, _present(row.name, card))
        rows.append(dataclasses.asdict(row) | dict(zip(("card", "size", "present"), facts, strict=True)))
    return rows


def where(name: str | None = None) -> dict[str, Any]:
    """Where the published files of one data set, or of all of them, are looked for.

    Returns:
        `folder`; and of one data set its `title`, `homepage`, `licence`, `citation`, `by_hand`, and `files`: `name`, `path`,
        `size` and `hash` as published, `urls`, `optional`, `there`.

    Raises:
        UnknownComponent: no such data set. UsageError: it has no card.
    """
    if name is None:
        return {"folder": str(data_directory())}
    card, folder = _card(name), data_directory() / name
    files = [
        {
            "name": file.name,
            "path": str(folder / file.name),
            "size": file.size,
            "hash": file.hash,
            "urls": list(file.urls),
            "optional": file.optional,
            "there": _is_there(folder, file),
        }
        for file in card.files
    ]
    about = {key: value for key, value in dataclasses.asdict(card).items() if key != "files"}
    return {"name": name, "folder": str(folder), **about, "files": files}


def fetch(name: str, progress: Progress, mirrors: Sequence[str] = ()) -> dict[str, Any]:
    """Download the files of a data set that are not there yet, or not as published; archives are unpacked.

    Args:
        progress: is told how it goes.
        mirrors: addresses of folders that hold the files under their published names, tried before the card's.

    Returns:
        `name`, `folder`, `fetched` and `kept`: names of the files downloaded, and of those that were there.

    Raises:
        UnknownComponent: no such data set. UsageError: it has no card.
        DataError: a file cannot be had; says how to get it by hand. MissingExtra: pooch is not installed.
    """
    card, folder = _card(name), data_directory() / name
    fetched, kept = [], []
    for file in card.files:
        if _state(folder, file) in _GOOD:
            kept.append(file.name)
        else:
            sources = [f"{mirror.rstrip('/')}/{file.name}" for mirror in mirrors] + list(file.urls)
            try:
                download(folder / file.name, sources, progress, file.size, file.hash)
            except DataError as cause:
                if file.optional:
                    progress.message(f"{file.name} is optional and left out ({cause})")
                    continue
                raise DataError(_by_hand(name, card, file, str(cause))) from cause
            fetched.append(file.name)
        _unpack(folder, file, progress)
    return {"name": name, "folder": str(folder), "fetched": fetched, "kept": kept}


def verify(name: str) -> dict[str, Any]:
    """Compare the files of a data set with what was published, and open it.

    Returns:
        `name`, `folder`; `files`: `name`, `state` and a `detail`; `rows` of the data set opened with its default settings,
        or None and the `error` that opening it gave; `ok`: every file that is needed is as published, as far as that is
        known, and the data set opens.

    Raises:
        UnknownComponent: no such data set. UsageError: it has no card.
    """
    card, folder = _card(name), data_directory() / name
    files, ok = [], True
    for file in card.files:
        state = _state(folder, file)
        files.append({"name": file.name, "state": state, "detail": _detail(folder, file, state)})
        ok &= state in _GOOD or (state == "missing" and file.optional)
    rows, error = None, ""
    try:
        rows = _open(name)
    except AereprError as cause:
        error = str(cause)
    return {
        "name": name,
        "folder": str(folder),
        "files": files,
        "rows": rows,
        "error": error,
        "ok": ok and rows is not None,
    }


def _card(name: str) -> Card:
    registry = catalogue.here()
    card = registry.note("dataset", name).card
    if card is None:
        known = [
            row.name for row in catalogue.components(registry, "dataset") if registry.note("dataset", row.name).card
        ]
        raise UsageError(
            f'data set "{name}" has no card: it is no set of published files; these are: {", ".join(known)}'
        )
    return card


def _is_there(folder: Path, file: FileCard) -> bool:
    return (folder / file.name).is_file() or _is_unpacked(folder, file)


def _is_unpacked(folder: Path, file: FileCard) -> bool:
    return bool(file.unpacks_to) and (folder / file.unpacks_to).exists()


def _present(name: str, card: Card) -> str:
    there = [_is_there(data_directory() / name, file) for file in card.files if not file.optional]
    return "yes" if all(there) else "part" if any(there) else "no"


def _state(folder: Path, file: FileCard) -> State:
    path = folder / file.name
    if not path.is_file():
        return "unpacked" if _is_unpacked(folder, file) else "missing"
    if file.size is not None and path.stat().st_size != file.size:
        return "wrong size"
    if not file.hash:
        return "not verifiable"
    return "ok" if file_hash(path, file.hash.partition(":")[0]) == file.hash else "wrong hash"


def _detail(folder: Path, file: FileCard, state: State) -> str:
    if state == "missing":
        return "optional" if file.optional else "not in the folder"
    if state == "wrong size":
        return f"{(folder / file.name).stat().st_size:,} bytes, expected {file.size:,}"
    if state == "wrong hash":
        return f"expected {file.hash}"
    if state == "unpacked":
        return f"{file.unpacks_to} is there in its place, and has no published hash"
    return (
        "" if state == "ok" else "its hash is not known; the size is" if file.size else "neither size nor hash is known"
    )


def _by_hand(name: str, card: Card, failed: FileCard, why: str) -> str:
    """One message that lets a user without a network go on."""
    folder = data_directory() / name
    missing = [file for file in card.files if not _is_there(folder, file) or file is failed]
    lines = [f"{name}: {failed.name} could not be downloaded ({why}).", f"By hand: {card.by_hand}"]
    for file in missing:
        optional = "  (optional)" if file.optional else ""
        lines.append(f"  {file.name}  {' or '.join(file.urls) or card.homepage}{optional}")
    lines += [f"Put them into {folder}", f"and look at them with: aerepr data verify {name}"]
    return "\n".join(lines)


def _unpack(folder: Path, file: FileCard, progress: Progress) -> None:
    """Unpack an archive beside itself, unless that was done; a gzipped file is read as it is."""
    archive = folder / file.name
    if not file.unpacks_to or _is_unpacked(folder, file) or not archive.is_file():
        return
    is_zip = zipfile.is_zipfile(archive)
    if not is_zip and not tarfile.is_tarfile(archive):
        return
    progress.message(f"unpacking {file.name}")
    first = Path(file.unpacks_to).parts[0]
    try:
        with folder_aside(folder / first) as aside:
            if is_zip:
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(aside)
            else:
                with tarfile.open(archive) as opened_tar:
                    opened_tar.extractall(aside, filter="data")
            # Archives hold one folder; its content takes the place of the folder made aside.
            for entry in list((aside / first).iterdir()):
                shutil.move(entry, aside / entry.name)
            (aside / first).rmdir()
    except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as cause:
        raise DataError(f"{archive}: cannot be unpacked ({cause}); free some space, or fetch it again") from cause


def _open(name: str) -> int:
    from aerepr.sampling.component import component_spec
    from aerepr.workflows.assemble import open_source

    registry = catalogue.here()
    spec = cast("DatasetSpec", component_spec(registry, "dataset", name, {}))
    return len(open_source(spec, Path.cwd(), registry).dataset)
