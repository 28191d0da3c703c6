"""docs/noise.md and its vectors: what a host is told to compute is what torch, TorchScript and NumPy compute.

Then the promises the page makes of the numbers: uniform, independent, normal. Every test is of fixed seeds, so its outcome is
a fact; the bounds are those of a one in a million chance.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerepr.export import numpy_noise
from aerepr.layers.noise import rows_noise, sample_noise, to_normal, to_uniform
from tests.environments import absent

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "noise.md").read_text(encoding="utf-8")
CASES = json.loads((DOCS / "noise.json").read_text(encoding="utf-8"))["cases"]

# How far a statistic of unit variance goes by chance, once in a million.
FAR = 4.9


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The functions the page shows in Python."""
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names


@pytest.fixture(scope="module")
def scripted() -> Callable[..., torch.Tensor]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        return torch.jit.script(rows_noise)


def row_of(seed: int, row: int, law: str, function: Callable[..., torch.Tensor] = rows_noise) -> np.ndarray:
    return function(torch.tensor([row]), 6, seed & 0xFFFFFFFF, seed >> 32, law)[0].numpy()


def hexadecimal(values: np.ndarray) -> list[str]:
    return [struct.pack(">f", value).hex() for value in values]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['seed']}-{case['row']}")
def test_vectors(case: dict[str, Any], page: dict[str, Any], scripted: Callable[..., torch.Tensor]):
    seed, row = int(case["seed"]), case["row"]
    words = [word for index in (0, 1) for word in page["words"](seed, row, index)][:6]
    assert [f"{word:08x}" for word in words] == case["words"]
    assert hexadecimal(np.array([page["uniform"](seed, row, column) for column in range(6)])) == case["bits"]
    np.testing.assert_allclose([page["normal"](seed, row, i) for i in range(6)], case["normal"], rtol=0, atol=1e-7)
    for function in (rows_noise, scripted):
        assert hexadecimal(row_of(seed, row, "uniform", function)) == case["bits"]
        np.testing.assert_allclose(row_of(seed, row, "normal", function), case["normal"], rtol=0, atol=1e-6)
    if row < 100:
        assert hexadecimal(sample_noise(row + 1, 6, seed, "uniform")[row].numpy()) == case["bits"]
        assert hexadecimal(numpy_noise.sample_noise(row + 1, 6, seed, "uniform")[row]) == case["bits"]


def test_the_vectors_reach_the_ends_of_the_range():
    assert {0, 1, 2**32 - 1, 2**32, 2**63 - 1} <= {int(case["seed"]) for case in CASES}
    assert {0, 2**32 - 1} <= {case["row"] for case in CASES}


def test_the_table_of_the_page_is_of_the_vectors():
    known = {(case["seed"], str(case["row"])): case for case in CASES}
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([0-9a-f]{8}) \| (-?[\d.]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 10
    for seed, row, bits, normal in rows:
        case = known[seed, row]
        assert (bits, float(normal)) == (case["bits"][0], round(case["normal"][0], 6))


def test_the_page_in_javascript():
    if shutil.which("node") is None:
        absent("needs Node")
    program = (
        block("js")
        + f"""
for (const seed of {json.dumps(sorted({case["seed"] for case in CASES}))}.map(BigInt))
  for (const row of [0, 63, 2 ** 32 - 1])
    console.log([seed, row, ...[0, 1, 2, 3, 4, 5].map((column) => uniform(seed, row, column))].join(" "));
"""
    )
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 3 * len({case["seed"] for case in CASES})
    known = {(case["seed"], str(case["row"])): case["bits"] for case in CASES}
    for seed, row, *values in lines:
        assert hexadecimal(np.array([float(value) for value in values])) == known[seed, row]


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int):
    for function in (sample_noise, numpy_noise.sample_noise):
        with pytest.raises(ValueError, match=r"from 0 to 2\^63 - 1"):
            function(1, 1, seed, "uniform")


def test_a_negative_count_is_refused():
    for function in (sample_noise, numpy_noise.sample_noise):
        with pytest.raises(ValueError, match="n must be 0 or more"):
            function(-1, 1, 0, "uniform")


def chi_square(counts: np.ndarray) -> float:
    """How far counts of equally likely cells are from equal, in deviations of the chi-square distribution."""
    expected = counts.sum() / counts.size
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = counts.size - 1
    return float((statistic - freedom) / math.sqrt(2 * freedom))


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**63 - 1])
def test_uniform(seed: int):
    """Chi-square over 1,000 cells and over the last 10 bits, and the Kolmogorov-Smirnov distance."""
    values = numpy_noise.sample_noise(50_000, 4, seed, "uniform").reshape(-1).astype(np.float64)
    assert abs(chi_square(np.bincount((values * 1000).astype(int), minlength=1000))) < FAR
    last = (values * 2**23 - 0.5).astype(np.int64) & 1023
    assert abs(chi_square(np.bincount(last, minlength=1024))) < FAR
    ordered = np.sort(values)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    distance = max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max())
    assert distance * math.sqrt(len(ordered)) < 2.7  # 2 exp(-2 * 2.7^2) is one in a million


def pairs() -> list[Any]:
    """Two streams that must not know of each other: across seeds, rows and columns, near and far."""

    def draw(seed: int) -> np.ndarray:
        return numpy_noise.sample_noise(40_000, 8, seed, "uniform").astype(np.float64)

    return [
        pytest.param(lambda: (draw(0), draw(1)), id="neighbouring seeds"),
        pytest.param(lambda: (draw(5), draw(5 + 2**32)), id="seeds that share their low half"),
        pytest.param(lambda: (draw(5 << 32), draw(6 << 32)), id="seeds that share a low half of zero"),
        pytest.param(lambda: (draw(3)[:-1], draw(3)[1:]), id="neighbouring rows"),
        pytest.param(lambda: (draw(3)[:-64], draw(3)[64:]), id="rows a batch apart"),
        pytest.param(lambda: (draw(3)[:, :-1], draw(3)[:, 1:]), id="neighbouring columns"),
        pytest.param(lambda: (draw(3)[:, :4], draw(3)[:, 4:]), id="columns a block apart"),
    ]


@pytest.mark.parametrize("two", pairs())
def test_independent(two: Callable[[], tuple[np.ndarray, np.ndarray]]):
    """No correlation of values, nor of distances from the middle, and a flat joint histogram of 32 by 32 cells."""
    a, b = (values.reshape(-1) for values in two())
    for f in (lambda u: u - 0.5, lambda u: np.abs(u - 0.5) - 0.25):
        x, y = f(a), f(b)
        assert abs((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()) * math.sqrt(len(a))) < FAR
    cells = (a * 32).astype(int) * 32 + (b * 32).astype(int)
    assert abs(chi_square(np.bincount(cells, minlength=1024))) < FAR


def test_normals_are_the_inverse_normal_distribution_within_a_millionth():
    uniform = to_uniform(torch.arange(0, 2**32, 2**9 * 3))
    ends = to_uniform(torch.tensor([0, 2**32 - 1]))
    uniform = torch.cat([uniform, ends])
    found = to_normal(uniform.double()).float()
    assert (found.double() - torch.special.ndtri(uniform.double())).abs().max() < 1e-6
    np.testing.assert_allclose(numpy_noise._to_normal(uniform.double().numpy()), found, rtol=0, atol=5e-7)
