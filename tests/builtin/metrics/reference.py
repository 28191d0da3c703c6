"""The reference implementation's values: inputs, expected numbers and tolerances of `shared/reference/metrics`.

`$AEREPR_REFERENCE` names another folder. Where there is none, tests over `CASES` are skipped.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aerepr.layers.interventions import Encode, grid_lookup

FOLDER = Path(os.environ.get("AEREPR_REFERENCE", Path(__file__).resolve().parents[4] / "shared/reference/metrics"))


@dataclass(frozen=True, eq=False)
class Case:
    """One case: `about` is its entry in cases.json."""

    about: dict[str, Any]

    def __str__(self) -> str:
        return str(self.about["name"])

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return _arrays(self.about["file"])

    @property
    def codes(self) -> np.ndarray:
        return self.arrays["codes"]

    @property
    def factors(self) -> np.ndarray:
        return self.arrays["factors"]

    @property
    def train(self) -> int:
        return int(self.about["n_train"])

    @property
    def details(self) -> dict[str, Any]:
        return self.about["details"]

    @property
    def sizes(self) -> list[int]:
        return self.about["cardinalities"]

    @property
    def encode(self) -> Encode:
        """New samples, as the README of the reference says."""
        if self.about["intervention_sampler"] == "grid":
            return grid_lookup(self.codes, self.factors, self.sizes)
        table, noise, mix = (self.arrays[name] for name in ("table", "noise_std", "mix"))
        offsets, generator = np.cumsum([0, *self.sizes[:-1]]), np.random.default_rng(7)

        def encode(values: np.ndarray) -> np.ndarray:
            z = table[values + offsets].sum(axis=1)
            return ((z + noise * generator.normal(size=z.shape)) @ mix).astype(np.float32)

        return encode

    def has(self, key: str) -> bool:
        """Whether the reference gives a number to compare with."""
        found = self.about["expected"].get(key)
        return found is not None and isinstance(found["value"], float) and found["kind"] != "ill-conditioned"

    def check(self, key: str, value: float) -> None:
        """Assert that a value is the reference's, within its tolerance."""
        expected = self.about["expected"][key]
        assert abs(value - expected["value"]) <= expected["abs_tol"], (
            f"{self}: {key} is {value}, not {expected['value']}"
        )


@cache
def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name, allow_pickle=False) as found:
        return {key: found[key] for key in found.files}


CASES = (
    [Case(about) for about in json.loads((FOLDER / "cases.json").read_text())["cases"]]
    if (FOLDER / "cases.json").is_file()
    else []
)


def cases(*keys: str) -> list[Case]:
    """The cases that the reference has a number of one of these keys for."""
    return [case for case in CASES if any(case.has(key) for key in keys)]


def formulas(name: str) -> list[dict[str, np.ndarray]]:
    """Inputs and outputs of one formula, lists as arrays; tolerance 1e-8."""
    path = FOLDER / "formulas.json"
    items = json.loads(path.read_text())[name] if path.is_file() else []
    return [{key: np.array(value) for key, value in item.items()} for item in items]
