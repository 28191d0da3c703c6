"""Tiny runs with fixed seeds against numbers written down: a change meant to alter no number must not alter these.

`AEREPR_GOLDEN=write pytest tests/golden` writes the file anew, after a change that is meant to alter them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import aerepr
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.train import train

FILE = Path(__file__).with_name("losses.json")

# Sums over kernels differ in the last bits between processors and versions, and training amplifies them a little.
TOLERANCE = 1e-3

RUNS: dict[str, dict[str, Any]] = {
    "sae": {"recipe": "SAE-6", "encoder": {"width": 8}, "decoder": {"width": 8}},
    "vae": {"recipe": "VAE", "encoder": {"width": 8}, "decoder": {"width": 8}},
}


def numbers(name: str, folder: Path) -> dict[str, list[float]]:
    """Losses of a run and the first pixels of a hybrid sample."""
    tables = {
        "name": name,
        "model": RUNS[name],
        "data": {"name": "rooms", "size": 16, "subset": {"orientation": [7], "scale": [7]}},
        "train": {"steps": 12, "batch_size": 16, "log_every": 4, "validate_every": 12, "optimizer": {"lr": 1e-3}},
    }
    path = train(spec_from_tables(tables), run=folder / name)
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    sample = aerepr.load(path).sample(1, seed=0)
    return {
        "train": [record["loss/total"] for record in records if record["kind"] == "train"],
        "valid": [record["loss/total"] for record in records if record["kind"] == "valid"],
        "sample": [float(value) for value in sample.reshape(-1)[:16]],
    }


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_numbers_are_those_written_down(name: str, tmp_path: Path) -> None:
    found = numbers(name, tmp_path)
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    if os.environ.get("AEREPR_GOLDEN") == "write":
        FILE.write_text(json.dumps({**known, name: found}, indent=1) + "\n")
        return
    assert found.keys() == known[name].keys()
    for key, values in found.items():
        assert values == pytest.approx(known[name][key], rel=TOLERANCE), key
