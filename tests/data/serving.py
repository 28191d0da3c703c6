"""A real HTTP server for tests of downloads: files by name, with byte ranges, counting what it sends."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """What is served, how, and what was asked for.

    Attributes:
        files: content by path. stop_after: bytes after which an answer breaks off, once for each number listed.
        ranges: whether byte ranges are granted. requests: path and Range header of each. sent: bytes of content sent.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.stop_after: list[int] = []
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.requests.append((self.path, asked))
            content = server.files.get(self.path.lstrip("/"))
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            start = 0
            if asked and server.ranges and self.headers.get("If-Range") in (None, tag):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            rest = content[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.send_header("ETag", tag)
            if self.path.endswith(".gz"):
                self.send_header("Content-Encoding", "x-gzip")  # as some servers do, and it must not be unpacked
            self.end_headers()
            if server.stop_after:
                rest = rest[: server.stop_after.pop(0)]
                self.close_connection = True
            # Counted first: who has received all may look at the count before this thread goes on.
            server.sent += len(rest)
            with suppress(ConnectionError):  # the other side may have been killed
                self.wfile.write(rest)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def closed_port() -> str:
    """An address at which nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as listener:
        port = listener.server_address[1]
    return f"http://127.0.0.1:{port}"
