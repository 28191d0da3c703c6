"""Data cards: where the published files of a data set are, how large they are, and under which terms.

A card is the table `card` of a data set's entry in a `registry.toml`:

    [components.card]
    title = "..."
    homepage = "https://..."
    licence = "..."
    citation = "..."
    by_hand = "what to do where there is no network"
    files = [{ name = "images.npz", urls = ["https://...", "https://mirror..."], size = 123, sha256 = "..." }]

Sizes and hashes stand there only where they are known for certain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DIGITS = {"sha256": 64, "md5": 32}


@dataclass(frozen=True)
class FileCard:
    """One published file.

    Attributes:
        name: its published name, which it keeps in the data set's folder.
        urls: where it can be had, the publisher first. size: in bytes, None where not known.
        hash: `sha256:<hex>` or `md5:<hex>`, empty where not known.
        unpacks_to: a file or folder, relative to the data set's folder, that does as well: what the file is unpacked to.
        optional: whether the data set opens without it.
    """

    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    hash: str = ""
    unpacks_to: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Card:
    """What is known of a published data set. `by_hand` says what to do without a network."""

    title: str
    homepage: str
    licence: str
    citation: str
    by_hand: str
    files: tuple[FileCard, ...]

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None where one of them is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def parse_card(table: Mapping[str, Any]) -> Card:
    """A card from its table.

    Raises:
        KeyError, TypeError, ValueError: a key is missing or unknown, or a value cannot be meant.
    """
    texts = {key: str(table[key]) for key in ("title", "homepage", "licence", "citation", "by_hand")}
    _refuse_unknown(table, {*texts, "files"}, "card")
    if not table["files"]:
        raise ValueError("card: files is empty, expected at least one")
    return Card(**texts, files=tuple(_file(item) for item in table["files"]))


def _file(table: Mapping[str, Any]) -> FileCard:
    name = str(table["name"])
    where = f'card: file "{name}"'
    _refuse_unknown(table, {"name", "urls", "size", "unpacks_to", "optional", *_DIGITS}, where)
    # A name or a folder comes from a catalogue that a plugin may have written: it stays inside the data set's folder.
    for path in (name, str(table.get("unpacks_to", ""))):
        if path.startswith("/") or "\\" in path or ".." in path.split("/"):
            raise ValueError(f"{where}: {path} leads out of the data set's folder")
    size = table.get("size")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"{where}: size {size!r}, expected a number of bytes")
    hashes = [f"{kind}:{table[kind]}" for kind, digits in _DIGITS.items() if _is_hash(table.get(kind), digits, where)]
    if len(hashes) > 1:
        raise ValueError(f"{where}: two hashes, expected one")
    return FileCard(
        name=name,
        urls=tuple(str(url) for url in table.get("urls", [])),
        size=size,
        hash=hashes[0] if hashes else "",
        unpacks_to=str(table.get("unpacks_to", "")),
        optional=bool(table.get("optional", False)),
    )


def _is_hash(value: Any, digits: int, where: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        raise ValueError(f"{where}: hash {value!r}, expected {digits} hexadecimal digits in lower case")
    return True


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{where}: no key {', '.join(unknown)}, expected {', '.join(sorted(known))}")
