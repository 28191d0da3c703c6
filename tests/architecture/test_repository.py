"""What may be in the repository, and the facts that several files state."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Folders of somebody's machine, and hosts of package registries: a mirror or another user's machine has its own.
PERSONAL = re.compile(rb"(?<![\w./-])/(?:work|root|home/[a-z]\w*|Users/[a-z]\w*)/[\w.]")
HOSTS = re.compile(rb"(?:pypi|pythonhosted|download\.pytorch)\.(?:org|io)")


@cache
def files() -> list[Path]:
    """Every file that is in the repository or would be with the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_is_large():
    assert [str(path) for path in files() if path.stat().st_size > 1_000_000] == []


@pytest.mark.parametrize("pattern", [PERSONAL, HOSTS], ids=["folders of a machine", "hosts of registries"])
def test_files_are_about_no_machine(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.decode(errors='replace')}"
        for path in files()
        if b"\0" not in (content := path.read_bytes())
        for number, line in enumerate(content.splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_version_is_the_same_everywhere():
    written = PROJECT["version"]
    assert f"\nversion: {written}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{written}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version("aerepr") == written


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): number for name, number in pairs}


def test_every_requirement_has_a_tested_version():
    required = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
    for extra in ("data", "fid", "metrics", "tb"):
        required += [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    pinned = pins()
    for requirement in required:
        if requirement.name != "aerepr":
            number = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(number), f"{requirement} does not admit {number}"
