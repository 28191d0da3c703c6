"""What tests run other programs with: virtual environments beside this one, and hosts that may be absent."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import NoReturn

import pytest

# pip as a user calls it, less what needs a network: everything that could be asked for is here already.
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip reads a `no` option's variable the other way round
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_QUIET": "1",
}


def absent(reason: str) -> NoReturn:
    """Skip what needs a host (compiler, Node, browser) that is not here; a failure where hosts are promised, as in CI."""
    if os.environ.get("AEREPR_HOSTS") == "required":
        pytest.fail(f"{reason}; AEREPR_HOSTS=required promises it")
    pytest.skip(reason)


def beside(home: Path) -> Path:
    """The interpreter of a new environment in `home`; what is installed there does not show in this one."""
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    here = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    lines = [f"import site; site.addsitedir({place!r})" for place in dict.fromkeys(here)]
    (site / "beside.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home / "bin" / "python"


def run(command: list[object], folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command in a folder, pip offline; its result, if the exit code is `code`."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | OFFLINE | {"OMP_NUM_THREADS": "1", "AEREPR_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
