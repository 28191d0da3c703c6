"""Python commands without the seconds that importing torch takes, and its exporter's first use: one process has done both, and
forks for each command.

    with served(folder) as python:       # takes the arguments of `python`: `-m MODULE ...`, `-c CODE ...`, `FILE ...`, `-`
        subprocess.run([python, "-m", "aerepr", "models"])

The program hands its arguments, environment, folder and standard streams to that process over a socket. Each command is a
process of its own, so nothing it does is seen by the next. Only the imports are shared: tests of what a fresh interpreter
imports, or of what is installed while they run, want a fresh interpreter.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

# What commands import when they run.
IMPORTED = (
    "aerepr.cli.app",
    "aerepr.workflows.load",
    "aerepr.workflows.train",
    "aerepr.workflows.evaluate",
    "aerepr.workflows.study",
    "onnx",
    "onnxruntime",
    "onnxscript",
)

PROGRAM = """#!{python} -ISs
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
code = server.recv(1)
if not code:  # the command was killed, and so it looks to whoever waits for it
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(code[0])
"""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Path]:
    """A program in `folder` that stands for this interpreter, as long as the context lasts."""
    # The name of a socket may not be longer than 100 bytes or so, which folders of tests are.
    address = f"\0aerepr-tests-{os.getpid()}-{folder.name}"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    program = folder / "python"
    program.write_text(PROGRAM.format(python=sys.executable, address=address), encoding="utf-8")
    program.chmod(0o755)
    command = [sys.executable, "-m", "tests.warm", str(listening.fileno())]
    server = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        pass_fds=[listening.fileno()],
        stdin=subprocess.DEVNULL,
    )
    listening.close()
    try:
        yield program
    finally:
        server.kill()
        server.wait()


def serve(listening: socket.socket) -> None:
    """Answers commands, each in a fork."""
    # The children are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            command(client)
            # Libraries that were imported before the fork wait for threads that are not here when they are unloaded.
            os._exit(0)
        client.close()


def command(client: socket.socket) -> None:
    """Runs what the client asks for, and tells it the exit code."""
    head, streams, _, _ = socket.recv_fds(client, 8, 3)
    asked = client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    arguments, folder, environment = json.loads(asked)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    try:
        run(arguments)
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0 if done.code is None else 1
        if isinstance(done.code, str):
            print(done.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    client.sendall(bytes([code]))


def run(arguments: list[str]) -> None:
    """What `python` does with these arguments."""
    what, *rest = arguments
    if what == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what in ("-", "-c"):
        code = sys.stdin.read() if what == "-" else rest.pop(0)
        sys.argv = [what, *rest]
        exec(compile(code, "<stdin>" if what == "-" else "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(what).resolve().parent)
        runpy.run_path(what, run_name="__main__")


def export_once() -> None:
    """The first export of a process imports eight hundred modules more."""
    import torch

    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(torch.nn.Linear(1, 1), (torch.zeros(2, 1),), dynamo=True, verbose=False)
    logging.disable(logging.NOTSET)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    export_once()
    serve(socket.socket(fileno=int(sys.argv[1])))
