"""Which room may import which: the table below is the truth, and `docs/design.md` shows it.

Read off the syntax trees of all files, so that an import inside a function, a relative one and one for the type checker
count like any other.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "aerepr"

# Room -> the rooms it may import beside itself. `errors` and `atomic` (files replaced whole) are open to all.
ROOMS = {
    "errors": "",
    "atomic": "",
    "registry": "",
    "spec": "registry",
    "kinds": "spec",
    "layers": "",
    "data": "kinds spec",
    "builtin": "data layers kinds spec",
    "metrics": "builtin",
    "rundir": "spec registry",
    "model": "rundir layers kinds spec registry",
    "training": "rundir model data layers kinds spec registry",
    "sampling": "rundir model data layers kinds spec registry",
    "evaluation": "sampling rundir model data layers kinds spec registry",
    "export": "rundir model layers kinds spec registry",
    "report": "rundir model layers kinds spec registry",
    "study": "evaluation rundir spec registry",
    "conformance": "export evaluation sampling training rundir model data layers kinds spec registry",
    "workflows": "conformance study report export evaluation sampling training rundir model data layers kinds spec registry",
    "cli": "workflows",
    "__init__": "workflows export",
    "__main__": "cli",
}
OPEN = {"errors", "atomic"}

# Room -> the packages of others it may import beside the standard library. A room that is not here: any that aerepr needs.
OUTSIDE = {
    "errors": "",
    "atomic": "",
    "registry": "",
    "spec": "pydantic pydantic_core",
    "kinds": "torch numpy",
    "layers": "torch numpy scipy sklearn joblib lightgbm",
    "data": "torch numpy pydantic PIL h5py pooch requests urllib3",
    "model": "torch",
    "rundir": "torch safetensors",
    "training": "torch numpy pydantic",
    "evaluation": "torch numpy",
    "cli": "typer rich",
    "__init__": "",
    "__main__": "",
}

# Where a package is kept to some files of a room, so that the rest of the room starts without it.
ONLY_IN = {
    ("data", "torch"): {"held.py", "source.py"},
    ("data", "pooch"): {"download.py"},
    ("data", "requests"): {"download.py"},
    ("data", "urllib3"): {"download.py"},
    ("rundir", "torch"): {"bundle.py", "checkpoint.py", "tensors.py"},
    ("rundir", "safetensors"): {"tensors.py"},
}

# What these rooms import when they are imported themselves: `aerepr --help` must not wait for torch, numpy or pydantic.
AT_ONCE = {
    "cli": {"aerepr.cli", "aerepr.errors", "typer"},
    "metrics": set(),
    "__init__": set(),
    "__main__": {"aerepr.cli"},
}


@dataclass(frozen=True)
class Import:
    """One imported module by its full name, and whether importing the file is enough to import it."""

    module: str
    line: int
    at_once: bool

    @property
    def room(self) -> str | None:
        """The room of aerepr it lies in; None where it is a module of others."""
        top, _, rest = self.module.partition(".")
        return rest.partition(".")[0] if top == "aerepr" else None

    @property
    def outside(self) -> str | None:
        """The package it belongs to; None where that is aerepr or the standard library."""
        top = self.module.partition(".")[0]
        return None if top == "aerepr" or top in sys.stdlib_module_names else top

    @property
    def source(self) -> str | None:
        """The room, as `aerepr.model`, or the package of others; None for the standard library."""
        return self.outside if self.room is None else f"aerepr.{self.room}"


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import of a file that lies in `package`."""
    yield from _imports(ast.parse(source), package, at_once=True)


def _imports(node: ast.AST, package: str, at_once: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(name.name, child.lineno, at_once)
        elif isinstance(child, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            module = ".".join([*base, *([child.module] if child.module else [])])
            # `from aerepr import model` names a room; `from aerepr.model import build` names its room already.
            names = [f"{module}.{name.name}" for name in child.names] if module == "aerepr" else [module]
            for name in names:
                yield Import(name, child.lineno, at_once)
        elif isinstance(child, ast.Call) and _called(child) in ("import_module", "__import__"):
            if child.args and isinstance(child.args[0], ast.Constant):
                yield Import(str(child.args[0].value), child.lineno, at_once)
            yield from _imports(child, package, at_once)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from _imports(child, package, at_once=False)
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, package, at_once and not inner)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def problems(source: str, path: str) -> list[str]:
    """What a file of the package imports and should not; `path` is relative to the package, such as "model/build.py"."""
    parts = Path(path).with_suffix("").parts
    room = parts[0]
    if room not in ROOMS:
        return [f"aerepr/{path}: no row for {room} in the table of rooms"]
    allowed = {*ROOMS[room].split(), *OPEN, room} - ({"builtin"} if room == "builtin" else set())
    found = []
    for item in imports(source, ".".join(["aerepr", *parts[:-1]])):
        where = f"aerepr/{path}:{item.line}: {item.module}"
        if item.room is not None and item.room not in allowed:
            found.append(f"{where}: {room} may import {', '.join(sorted(allowed))}")
        outside = item.outside
        if outside is not None and outside not in OUTSIDE.get(room, outside).split():
            found.append(f"{where}: {room} may import of others {OUTSIDE[room] or 'nothing'}")
        if outside is not None and Path(path).name not in ONLY_IN.get((room, outside), {Path(path).name}):
            found.append(f"{where}: only in {', '.join(sorted(ONLY_IN[room, outside]))}")
        if item.at_once and item.source is not None and item.source not in AT_ONCE.get(room, {item.source}):
            found.append(f"{where}: inside the function that needs it")
    return found


FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("room", sorted({Path(path).with_suffix("").parts[0] for path in FILES}))
def test_imports_keep_to_the_table(room):
    files = [path for path in FILES if Path(path).with_suffix("").parts[0] == room]
    assert [line for path in files for line in problems((PACKAGE / path).read_text(encoding="utf-8"), path)] == []


def test_imports_flow_one_way():
    earlier = set(OPEN)
    for room, rooms in ROOMS.items():
        assert set(rooms.split()) <= earlier, f"{room} imports a room that stands below it"
        earlier.add(room)


def test_no_room_imports_a_built_in_component():
    # `aerepr.metrics` is no room but the names of functions, for notebooks.
    assert [room for room, rooms in ROOMS.items() if "builtin" in rooms.split()] == ["metrics"]


def test_an_inner_init_holds_one_docstring():
    for path in [path for path in FILES if path.endswith("/__init__.py")]:
        body = ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path
        assert isinstance(body[0].value, ast.Constant), path


PLUGINS = [
    ROOT / "tests" / "probe" / "aerepr_probe",
    *sorted(path.parent for path in ROOT.glob("plugins/*/*/__init__.py")),
]


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_plugins_import_what_built_in_components_may(package):
    allowed = {*ROOMS["builtin"].split(), *OPEN}
    files = sorted(package.rglob("*.py"))
    assert files
    for path in files:
        parts = path.relative_to(package.parent).parent.parts
        for item in imports(path.read_text(encoding="utf-8"), ".".join(parts)):
            assert item.room is None or item.room in allowed, f"{path.name}:{item.line}: {item.module}"


# A package's name where it is imported, if that is not its name where it is installed.
INSTALLED_AS = {"PIL": "pillow", "sklearn": "scikit-learn"}


def needed(folder: Path, *extras: str) -> set[str]:
    """The packages that installing what `folder` holds brings along, or those of some extras alone."""
    table = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = (
        [text for name in extras for text in table["optional-dependencies"][name]] if extras else table["dependencies"]
    )
    return {re.split(r"[^\w.-]", text, maxsplit=1)[0].lower() for text in texts}


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_plugins_import_what_installing_them_brings(package):
    # torch, numpy and the like come with aerepr; scipy is here for the tests, so that nothing else would miss it.
    brought = needed(ROOT) | needed(package.parent) | {package.name}
    optional = needed(ROOT, "metrics", "data")
    missing = []
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for item in imports(source, package.name):
            name = INSTALLED_AS.get(item.outside, item.outside)
            told = name in optional and not item.at_once and "MissingExtra(" in source
            if name is not None and name not in brought and not told:
                missing.append(f"{path.relative_to(package)}:{item.line}: {name}")
    assert missing == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/build.py", "from aerepr.training import loop"),
        ("model/build.py", "from aerepr import training"),
        ("model/build.py", "import aerepr.training.loop as loop"),
        ("model/build.py", "from ..training.loop import Trainer"),
        ("model/build.py", "from .. import training"),
        ("model/build.py", "def f():\n    if True:\n        from aerepr.training.loop import Trainer"),
        ("model/build.py", "if TYPE_CHECKING:\n    from aerepr.training.loop import Trainer"),
        ("model/build.py", "import_module('aerepr.builtin.encoders.conv')"),
        ("model/build.py", "import aerepr"),
        ("model/build.py", "from aerepr import train"),
        ("workflows/train.py", "from aerepr.builtin.encoders.conv import ConvEncoder"),
        ("builtin/encoders/mlp.py", "from aerepr.builtin.encoders.conv import ConvEncoder"),
        ("builtin/encoders/mlp.py", "from .conv import ConvEncoder"),
        ("registry/catalogue.py", "import pydantic"),
        ("spec/read.py", "def f():\n    import torch.nn"),
        ("rundir/manifest.py", "import torch"),
        ("cli/train.py", "from aerepr.workflows.train import train"),
        ("cli/train.py", "import rich.console"),
        ("cli/train.py", "def f():\n    import numpy"),
        ("attic/train.py", ""),
    ],
)
def test_what_the_table_forbids_is_found(path, source):
    assert len(problems(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "model/build.py",
            "from aerepr import atomic\nfrom . import autoencoder\nfrom .view import View\nimport torch",
        ),
        (
            "rundir/checkpoint.py",
            "import torch\nfrom aerepr.rundir import tensors\nfrom aerepr.errors import AereprError",
        ),
        (
            "cli/train.py",
            "import json\nimport typer\ndef f():\n    from aerepr.workflows.train import train\n    import rich",
        ),
        ("workflows/train.py", "import numpy\nfrom aerepr.model.build import build_system"),
    ],
)
def test_what_the_table_allows_is_not(path, source):
    assert problems(source, path) == []
