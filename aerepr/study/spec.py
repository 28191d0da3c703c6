"""The words of a study file: what all runs share, along which axes they differ, how each is evaluated afterwards."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from aerepr.spec.base import Table


class EvaluateSpec(Table):
    """One `[[evaluate]]` table: an `aerepr evaluate` of every run, once it is trained."""

    id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description='in front of its numbers, as in "held-out/mig.score"; one table may do without',
    )
    metrics: list[str] | None = Field(
        None, min_length=1, description='"metric" or "metric@protocol"; all that are quick when left out'
    )
    split: Literal["train", "valid", "test", "all"] = Field("test", description="of which rows")
    subset: dict[str, list[NonNegativeInt]] = Field(
        {}, description="only rows with these class indices of these factors, instead of data.subset"
    )
    rows: PositiveInt | Literal["full"] = Field(15_000, description="at most so many, a seeded choice")
    seed: NonNegativeInt | None = Field(
        None,
        description="of that choice and of what metrics draw; data.split_seed, and what metrics say, when left out",
    )
    settings: dict[str, dict[str, Any]] = Field({}, description="settings of metrics, by metric")

    def asked(self) -> dict[str, Any]:
        """What decides the numbers, as plain tables."""
        return self.model_dump(mode="json", exclude={"id"}, exclude_none=True)


class StudySpec(Table):
    """The root of a study file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="folder of its runs")
    spec: dict[str, Any] = Field(description="what all runs share: the keys of a run spec, without name")
    axes: dict[str, list[Any] | dict[str, Any]] = Field(
        min_length=1, description="a list of values of one spec key, or tables of several keys, each a named level"
    )
    evaluate: list[EvaluateSpec] = Field([EvaluateSpec()], description="after training; the default set when left out")

    @field_validator("evaluate")
    @classmethod
    def _told_apart(cls, evaluate: list[EvaluateSpec]) -> list[EvaluateSpec]:
        ids = [item.id for item in evaluate]
        if len(set(ids)) < len(ids):
            raise ValueError("two tables have the same id, or none: give each its own id")
        return evaluate
