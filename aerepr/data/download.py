"""Published files over HTTP: resumed where a transfer broke off, checked, and whole or absent under their name.

What has arrived of a file is kept beside it in a folder `.<name>.partial`, with the mark by which its server tells versions
apart (ETag or date). The next attempt asks for the rest under the condition that the mark still holds (RFC 9110, `If-Range`), so
pieces of two versions are never joined. pooch compares the hash before the file is given its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aerepr.errors import DataError, MissingExtra

if TYPE_CHECKING:
    import requests

# A piece of a transfer, and how long a server may be silent.
_PIECE = 1 << 18
_SILENCE_S = 30
# A connection that breaks but brought something is taken up again this often before the next source is tried.
_RESUMES = 5


class Progress(Protocol):
    """Is told how a transfer goes."""

    def start(self, name: str, done: int, total: int | None) -> None:
        """A file's transfer begins, or goes on, with `done` bytes here already of `total`, None where not known."""

    def advance(self, count: int) -> None:
        """Bytes arrived."""

    def message(self, text: str) -> None:
        """Something to be read: a source that failed, a file that is there."""


class _Failed(Exception):
    """A source did not give the file; the next may."""


def download(
    target: Path, sources: Sequence[str], progress: Progress, size: int | None = None, known_hash: str = ""
) -> None:
    """Fetch one file from the first of its sources that gives it.

    Args:
        target: where it goes; replaced only by a whole and checked file.
        sources: addresses, in the order in which they are tried.
        size: in bytes, if known. known_hash: `sha256:<hex>` or `md5:<hex>`, or empty.

    Raises:
        DataError: no source gave it; says of each what it gave instead.
        MissingExtra: pooch is not installed.
    """
    try:
        import pooch
    except ImportError as cause:
        raise MissingExtra("pooch", "data", "fetching a data set") from cause
    pooch.get_logger().setLevel("WARNING")  # what it would say, `progress` is told
    work = target.with_name(f".{target.name}.partial")
    failures = []
    for source in sources:
        transfer = _Transfer(work, target.name, size, progress)
        try:
            pooch.retrieve(source, known_hash or None, "whole", work, downloader=transfer)
        except _Failed as cause:
            failures.append(f"{source}: {cause}")
        except ValueError:  # pooch's word for a hash that differs; it has removed the file
            failures.append(f"{source}: gave a file with another hash than {known_hash}")
        else:
            os.replace(work / "whole", target)
            shutil.rmtree(work)
            return
        progress.message(failures[-1])
    if work.exists() and not any(work.iterdir()):
        work.rmdir()
    raise DataError("; ".join(failures) or f"{target.name}: its card names no address")


def file_hash(path: Path, kind: str) -> str:
    """`kind:<hex>` of a file's content; kind is sha256 or md5."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return f"{kind}:{digest.hexdigest()}"


class _Transfer:
    """A downloader in pooch's sense that goes on where the last one stopped."""

    def __init__(self, work: Path, name: str, size: int | None, progress: Progress) -> None:
        self.name, self.size, self.progress = name, size, progress
        self.partial, self.mark = work / "partial", work / "mark"
        work.mkdir(parents=True, exist_ok=True)
        # What a killed process left: pooch's own temporary file, or a whole one that was not renamed any more.
        for left in set(work.iterdir()) - {self.partial, self.mark}:
            left.unlink()

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        for _ in range(_RESUMES):
            before = self._here()
            reason = self._transfer(url)
            if reason is None:
                os.replace(self.partial, output_file)
                self.mark.unlink(missing_ok=True)
                return
            if self._here() <= before:
                break
        raise _Failed(reason)

    def _here(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _transfer(self, url: str) -> str | None:
        """One request: None once the file is complete, else why it is not."""
        import requests
        from urllib3.exceptions import HTTPError

        # As it lies on the server: a transparently unpacked .gz would have another size and hash.
        headers = {"Accept-Encoding": "identity"}
        # The last byte is asked for again: there is always something to send, and a request for nothing is an error.
        if self._here() > 1 and self.mark.exists():
            os.truncate(self.partial, self._here() - 1)
            headers |= {"Range": f"bytes={self._here()}-", "If-Range": self.mark.read_text(encoding="utf-8")}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_SILENCE_S) as answer:
                return self._receive(answer)
        except (requests.RequestException, HTTPError) as cause:
            return _reason(cause)

    def _receive(self, answer: requests.Response) -> str | None:
        done = self._here()
        if answer.status_code not in (200, 206):
            return f"HTTP {answer.status_code} {answer.reason}"
        if answer.status_code == 200:
            self._forget()
            done = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            return f"sent bytes {answer.headers.get('Content-Range')}, expected those from {done} on"
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length is not None else self.size
        if self.size is not None and total != self.size:
            return f"offers {total} bytes, expected {self.size}: another file, or another version of it"
        mark = _version(answer)
        if mark:
            self.mark.write_text(mark, encoding="utf-8")
        self.progress.start(self.name, done, total)
        with open(self.partial, "ab") as stream:
            for piece in answer.raw.stream(_PIECE, decode_content=False):
                stream.write(piece)
                self.progress.advance(len(piece))
        if total is not None and self._here() != total:
            return f"ended after {self._here()} of {total} bytes"
        return None

    def _forget(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)


def _version(answer: requests.Response) -> str:
    # Only a strong ETag may stand in If-Range.
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _reason(cause: Exception) -> str:
    """Why a connection failed, without the layers of names around it."""
    import requests

    if isinstance(cause, requests.Timeout):
        return f"no answer within {_SILENCE_S} s"
    inner: BaseException = cause
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    if isinstance(inner, OSError) and inner.strerror:
        return f"no connection ({inner.strerror})"
    return f"the connection broke ({type(inner).__name__})"
