"""A whole spec: everything a run is made from."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveInt

from aerepr.spec.base import ComponentOf, ComponentSpec, Table, without_folders
from aerepr.spec.data import DatasetSpec
from aerepr.spec.model import ModelSpec
from aerepr.spec.training import TrainSpec


class EvaluationSpec(Table):
    """Table `[evaluation]`: metrics computed during training."""

    every: NonNegativeInt = Field(0, description="steps between evaluations; 0: on request only")
    rows: PositiveInt | None = Field(None, description="test examples looked at, at most; 15,000 when left out")
    metrics: list[Annotated[ComponentSpec, ComponentOf("metric", shorthand=True)]] = Field(
        [], description="names of metrics, or tables with their settings"
    )


class RunSpec(Table):
    """The root of a spec file."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="folder of the runs of this spec")
    seed: NonNegativeInt = Field(0, lt=2**63, description="initial weights, data order and noise")
    model: ModelSpec = Field(description="what is trained")
    data: Annotated[DatasetSpec, ComponentOf("dataset")] = Field(description="on what")
    train: TrainSpec = Field(description="how")
    sampler: Annotated[ComponentSpec, ComponentOf("sampler", default="hybrid")] = Field(
        {}, validate_default=True, description="how `aerepr sample` and exports draw if not told"
    )
    evaluation: EvaluationSpec = Field(EvaluationSpec(), description="metrics computed during training")
    loggers: list[Annotated[ComponentSpec, ComponentOf("logger")]] = Field(
        [], description="who else is told, such as tensorboard"
    )

    def tables(self) -> dict[str, Any]:
        """The spec as plain tables, every default written out, ready for TOML or JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def hash(self) -> str:
        """SHA-256 of what decides the numbers: not name, folders, device, intervals or loggers."""
        tables = self.tables()
        for key in ("name", "evaluation", "loggers"):
            tables.pop(key)
        for key in ("device", "log_every", "validate_every", "checkpoint_every"):
            tables["train"].pop(key)
        tables["data"] = without_folders(self.data, tables["data"])
        return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()
