"""What the documents show is what works: their commands, Python blocks and specs are run, in order, a folder a document.

Fenced blocks are read by their language:

- `console`: lines that start with `$ ` are commands (`> ` continues one), the rest is output and not compared;
- `bash`, `sh`: the whole block is a script; the next block starts in the folder it ends in;
- `python`: a script, or that file whose name its docstring begins with (`my_package/part.py: ...`);
- `toml`: a spec, where it has a `[model]` and `[data]`.

A block under the comment `<!-- not run: REASON -->` is left out, and so are the commands of `NOT_RUN` below.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environments import OFFLINE, beside

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted(ROOT.glob("plugins/*/README.md")),
    ]
    if path.is_file()
]

# First words of commands that are not run, and why.
NOT_RUN = {
    "make": "makes an environment, or runs this very suite",
    "pip": "installs; tests/packaging does",
    "python3 -m venv": "installs; tests/packaging does",
    "python -m venv": "installs; tests/packaging does",
    "source": "enters an environment that is not made here",
    "git": "needs a network",
    "torchrun": "several processes: tests/training/test_distributed.py",
    "aerepr demo": "minutes: what `make demo` runs",
    "aerepr data fetch": "needs a network: tests/workflows/test_published.py",
    "aerepr data verify": "needs what was fetched: tests/workflows/test_published.py",
}

# Examples that take minutes as they stand: what is written instead, in the copy that commands are run with.
SHORTER = {
    "examples/studies/small.toml": {
        "width = 16": "width = 8",
        "\nsize = 32": "\nsize = 16",
        "orientation = [7]": "orientation = [7]\nfloor_hue = [0]",
        "steps = 5000": "steps = 5",
        '["SAE-12", "AE", "VAE"]': '["SAE-12"]',
        "seed = [0, 1, 2]": "seed = [0, 1]",
    },
}

SHELL = ("console", "bash", "sh")
# What is installed all the same, in an environment of the document's own: the reader's package, in the folder they are in.
INSTALLED = ('pip install -e ".[dev]"',)

KNOWN = (*SHELL, "python", "toml", "text", "")  # text and "" are only shown
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[\w+-]*)")
FILE = re.compile(r'"""(?P<path>[\w/]+\.py):')
LEFT_OUT = re.compile(r"<!--\s*not run:\s*(?P<reason>\S.*?)\s*-->")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the number of its first line, its text."""

    language: str
    line: int
    text: str


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document that are to be run."""
    found: list[Block] = []
    lines = iter(enumerate(document.splitlines(), 1))
    before = ""
    for number, line in lines:
        opened = FENCE.match(line)
        if opened is None:
            before = line if line.strip() else before
            continue
        inside = []
        for _, inner in lines:
            if inner.strip() == opened["fence"]:
                break
            inside.append(inner.removeprefix(opened["indent"]))
        else:
            raise ValueError(f"the block of line {number} does not end")
        if LEFT_OUT.search(before) is None:
            found.append(Block(opened["language"], number + 1, "\n".join(inside)))
        before = ""
    return found


def commands(block: Block) -> list[str]:
    """The commands of a shell block, continued lines joined; those that are not run are left out."""
    lines = block.text.splitlines()
    if block.language == "console":
        shown = []
        for line in lines:
            if line.startswith("$ "):
                shown.append(line[2:])
            elif line.startswith("> ") and shown:
                shown[-1] += "\n" + line[2:]
            elif shown and shown[-1].endswith("\\"):
                shown[-1] += "\n" + line
        lines = "\n".join(shown).splitlines()
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].endswith("\\"):
            joined[-1] = joined[-1][:-1] + line.strip()
        else:
            joined.append(line)
    return [line for line in joined if line.strip() and reason(line) is None]


def reason(command: str) -> str | None:
    """Why a command is not run; None if it is."""
    if command in INSTALLED:
        return None
    words = " ".join(word for word in command.split() if "=" not in word or word.startswith("-"))
    return next((why for first, why in NOT_RUN.items() if f"{words} ".startswith(f"{first} ")), None)


@pytest.fixture
def folder(tmp_path, monkeypatch, warm):
    """The folder a reader is in: the examples, and `aerepr` and `python` as this interpreter has them."""
    work, programs = tmp_path / "work", tmp_path / "bin"
    work.mkdir()
    programs.mkdir()
    write_programs(programs, warm)
    if (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", work / "examples")
        for name, changes in SHORTER.items():
            shorten(work / name, changes)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AEREPR_CACHE", str(tmp_path / "cache"))
    return work


def write_programs(programs, python):
    """What a reader's shell finds by name, of one interpreter."""
    for name, module in {
        "aerepr": " -m aerepr",
        "pip": " -m pip",
        "python": "",
        "python3": "",
        "tensorboard": " -m tensorboard.main",
    }.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))}{module} "$@"\n')
        (programs / name).chmod(0o755)


def shorten(path, changes):
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{path.name}: nothing to shorten at {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def execute(arguments, script, folder, where):
    done = subprocess.run(arguments, input=script, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{where}\n{script}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_shown_works(path, folder):
    here = folder.with_name("here")
    found = blocks(path.read_text(encoding="utf-8"))
    if any(line in INSTALLED for block in found for line in (commands(block) if block.language in SHELL else ())):
        write_programs(folder.with_name("bin"), beside(folder.with_name("venv")))
    for block in found:
        where = f"{path.relative_to(ROOT)}:{block.line}"
        assert block.language in KNOWN, f"{where}: nothing runs a block of {block.language!r}: use one of {KNOWN}"
        assert block.language != "console" or "$ " in block.text, f"{where}: a console block without a command"
        if block.language in SHELL:
            script = "\n".join(commands(block))
            if script:
                # As an argument, not as input: a command that reads its input would swallow those after it.
                # A reader's shell stays where the block before left it.
                execute(
                    ["bash", "-euo", "pipefail", "-c", f"{script}\npwd > {shlex.quote(str(here))}"], "", folder, where
                )
                folder = Path(here.read_text().strip())
        elif block.language == "python" and FILE.match(block.text):
            write_file(block, folder)
        elif block.language == "python":
            execute(["python", "-"], block.text, folder, where)
        elif block.language == "toml":
            check_spec(block.text, where)


def write_file(block: Block, folder: Path) -> None:
    """Save a block that is a file under the name it gives."""
    named = FILE.match(block.text)
    assert named is not None
    path = folder / named["path"]
    path.parent.mkdir(exist_ok=True)
    path.write_text(block.text + "\n", encoding="utf-8")


def test_the_readme_s_decoder_is_one_that_a_spec_can_name(tmp_path, monkeypatch):
    from aerepr.conformance.run import assert_conforms
    from aerepr.registry.registry import Registry
    from aerepr.spec.read import spec_from_tables

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = (block for block in blocks(readme) if block.language == "python" and FILE.match(block.text))
    write_file(block, tmp_path)
    (announced,) = re.findall(r'`AEREPR_PLUGINS="([^"]+)"`', readme)
    monkeypatch.setenv("AEREPR_PLUGINS", announced)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()
    try:
        assert_conforms("decoder", "linear", registry)
        model = {"recipe": "VAE", "latent_dim": 4, "decoder": {"name": "linear", "bias": False}}
        spec = spec_from_tables({"model": model, "data": {"name": "rooms"}, "train": {"steps": 1}}, registry=registry)
        assert type(spec.model.decoder).__module__ == "my_decoders.linear"
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_decoders"]:
            del sys.modules[name]


def check_spec(text: str, where: str) -> None:
    from aerepr.errors import SpecError
    from aerepr.registry.registry import Registry
    from aerepr.spec.read import spec_from_tables

    try:
        tables = tomllib.loads(text)
        if {"model", "data"} <= tables.keys():
            spec_from_tables(tables, registry=Registry())
    except (tomllib.TOMLDecodeError, SpecError) as cause:
        pytest.fail(f"{where}: {cause}")


# How documents are read.

DOCUMENT = """
Text with `code`.

```console
$ aerepr models          # comment
name   summary
$ make demo
$ aerepr sample \\
>     -n 4
```

<!-- not run: needs a phone -->

```bash
ring
```

```bash
export A=1
OMP_NUM_THREADS=1 torchrun x.py
echo $A \\
  two
```

```
a drawing
```

- item

  ```python
  if True:
      print(1)
  ```
"""


def test_blocks_and_commands_are_found():
    first, second, drawing, script = blocks(DOCUMENT)
    assert commands(first) == ["aerepr models          # comment", "aerepr sample -n 4"]
    assert commands(second) == ["export A=1", "echo $A two"]
    assert (drawing.language, drawing.text) == ("", "a drawing")
    assert (script.language, script.text) == ("python", "if True:\n    print(1)")
    assert [block.line for block in (first, second, drawing, script)] == [5, 19, 26, 32]


def test_every_command_of_a_block_is_run_and_the_first_failure_stops_it(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)

    def document(text):
        (tmp_path / "page.md").write_text(text)
        return tmp_path / "page.md"

    test_what_is_shown_works(document("```bash\ncat > input\ntouch after\n```\n"), folder)
    assert (folder / "after").exists()  # though `cat` read all it was given
    file = '```python\n"""part/five.py: a file."""\n\nFIVE = 5\n```\n'
    test_what_is_shown_works(document(f"{file}\n```python\nfrom part.five import FIVE\n```\n"), folder)
    for text in (
        "```bash\nfalse\ntrue\n```\n",
        "```console\n$ false | cat\n```\n",
        "```python\nassert False\n```\n",
        "```shell\ntrue\n```\n",
        "```console\naerepr models\n```\n",
    ):
        with pytest.raises(AssertionError, match=r"page\.md:2"):
            test_what_is_shown_works(document(text), folder)


def test_a_block_that_does_not_end_is_said():
    with pytest.raises(ValueError, match="line 1"):
        blocks("```bash\naerepr models\n")


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("make demo", False),
        ("make", False),
        ("makeup", True),
        ("pip install -c constraints.txt .", False),
        ("OMP_NUM_THREADS=1 torchrun -m aerepr train x.toml", False),
        ("aerepr demo --seed 1", False),
        ("aerepr train x.toml --set train.steps=10", True),
    ],
)
def test_which_commands_are_run(command, run):
    assert (reason(command) is None) is run
