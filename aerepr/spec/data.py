"""Table `[data]`: what every data set's table shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt, field_validator

from aerepr.spec.base import ComponentOf, ComponentSpec


class DatasetSpec(ComponentSpec):
    """What every `[data]` table has; a data set's `Spec` adds where its files are and how they read."""

    split: tuple[float, float, float] = Field((0.7, 0.1, 0.2), description="fractions of train, valid and test")
    split_seed: NonNegativeInt = Field(
        0, description="seed of the split, apart from `seed`: a study shares its test set"
    )
    subset: dict[str, list[NonNegativeInt]] = Field({}, description="keep only these class indices of these factors")
    gallery: NonNegativeInt = Field(64, description="test examples kept in the bundle; 0 leaves real data out")
    standardize: bool = Field(False, description="vector data: subtract the training mean, divide by its deviation")

    @field_validator("split")
    @classmethod
    def _is_partition(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(split) < 0 or abs(sum(split) - 1) > 1e-6 or split[0] == 0:
            raise ValueError(f"expected three fractions that sum to 1 with some data to train on, got {list(split)}")
        return split


def _is_source(source: DatasetSpec) -> DatasetSpec:
    fields = type(source).model_fields
    for key in DatasetSpec.model_fields:
        if key != "name" and getattr(source, key) != fields[key].get_default(call_default_factory=True):
            raise ValueError(f"{key} is said once, in [data]: move it there from the table of its source")
    return source


# The table of a data set that another is made of. Splits, subset and gallery are the outer data set's.
SourceSpec = Annotated[DatasetSpec, ComponentOf("dataset", nested=True), AfterValidator(_is_source)]
