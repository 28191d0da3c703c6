"""Nothing that aerepr reads by itself can run code: no module pickles or unpickles, by the syntax trees of all files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Modules that are pickle, or read and write by it.
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
CALLS = {
    "joblib.dump",
    "joblib.load",
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "pandas.read_pickle",
}
# Arguments that decide whether something is unpickled, and what they must be.
SAFE = {"allow_pickle": False, "weights_only": True}

# What a file may do all the same, and why.
ALLOWED = {
    # The published Inception weights are a file of torch's own: its SHA-256 is known, and only tensors are read of it
    # (`weights_only`). torch-fidelity takes weights from such a file alone, so one is written in memory for it.
    "aerepr/builtin/metrics/fid.py": {"torch.load", "torch.save"},
}


def files() -> Iterator[Path]:
    """Every module of the core and of the plugins, less their tests."""
    for folder in ("aerepr", "plugins"):
        yield from (path for path in (ROOT / folder).rglob("*.py") if "tests" not in path.relative_to(ROOT).parts)


def pickling(tree: ast.AST) -> set[str]:
    """The pickle modules and functions that a file names, however it imports them."""
    names: dict[str, str] = {}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
                found |= {first} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.partition(".")[0]} & MODULES
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & CALLS
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            head, _, rest = ast.unparse(node).partition(".")
            found |= {f"{names.get(head, head)}.{rest}"} & CALLS
        elif isinstance(node, ast.keyword) and node.arg in SAFE:
            is_safe = isinstance(node.value, ast.Constant) and node.value.value is SAFE[node.arg]
            found |= set() if is_safe else {node.arg}
    return found


def test_no_file_pickles_but_those_with_a_reason() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in files()
        if (names := pickling(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == ALLOWED


def test_it_is_seen_however_it_is_written() -> None:
    for text, seen in {
        "import pickle": {"pickle"},
        "from pickle import loads as read": {"pickle"},
        "import torch as t\nt.load(x)": {"torch.load"},
        "from torch import save": {"torch.save"},
        "import torch\nread = torch.load": {"torch.load"},
        "import numpy as np\nnp.load(x, allow_pickle=True)": {"allow_pickle"},
        "import numpy as np\nnp.load(x, allow_pickle=False)": set(),
        "import torch\ntorch.load(x, weights_only=False)": {"torch.load", "weights_only"},
        "import torch\ntorch.export.save(x, y)\ntorch.jit.load(x)\nself.load(x)": set(),
    }.items():
        assert pickling(ast.parse(text)) == seen, text
