"""Packages that look installed: a module, metadata and, where wanted, a catalogue, in a folder on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

COMPONENT = """
from aerepr.spec.base import ComponentSpec

class Part:
    Spec = ComponentSpec
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """A function that installs a package: name, entry points {group: {name: target}}, catalogue text, code."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def put(
        package: str, points: dict[str, dict[str, str]], catalogue: str | None = None, code: str = COMPONENT
    ) -> Path:
        module = site / package.replace("-", "_")
        module.mkdir()
        (module / "__init__.py").write_text(dedent(code))
        if catalogue is not None:
            (module / "registry.toml").write_text(dedent(catalogue))
        info = site / f"{package.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = []
        for group, names in points.items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in names.items()), ""]
        (info / "entry_points.txt").write_text("\n".join(lines))
        return module

    yield put
    for name in set(sys.modules) - before:
        if (site / name).exists():
            del sys.modules[name]
