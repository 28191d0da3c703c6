"""Settings that metrics of codes share; the commands set them where a metric's spec has them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

TrainRows = Annotated[
    PositiveInt | None,
    Field(description="how many of the first rows are fitted on, the rest is scored; two thirds when left out"),
]

MetricSeed = Annotated[NonNegativeInt, Field(description="seed of what the metric draws")]

Drawing = Annotated[
    Literal["rows", "generative"],
    Field(
        description="rows: draws among the given rows; generative: every combination of factors, once each, is given"
    ),
]
