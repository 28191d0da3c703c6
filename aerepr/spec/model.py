"""Table `[model]`: which components make the autoencoder, and the specs every component of a kind shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from aerepr.spec.base import ComponentOf, ComponentSpec, Table
from aerepr.spec.training import OptimizerSpec


class RegularizerSpec(ComponentSpec):
    """What every `[[model.regularizers]]` item has."""

    id: str = Field(
        "",
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="how logs, schedules and --set address this item; the name when left out",
    )
    weight: NonNegativeFloat = Field(
        1.0, description="factor of this term in the loss", json_schema_extra={"schedulable": True}
    )
    optimizer: OptimizerSpec | None = Field(None, description="optimizer of the term's adversary, where it has one")

    @model_validator(mode="before")
    @classmethod
    def _id_is_name(cls, value: object) -> object:
        if isinstance(value, dict) and not value.get("id"):
            return {**value, "id": value.get("name", "")}
        return value


class ModelSpec(Table):
    """Table `[model]`."""

    recipe: str | None = Field(None, description='a named composition, such as "SAE-12"; the tables below override it')
    latent_dim: PositiveInt = Field(description="D, number of latent dimensions")
    encoder: Annotated[ComponentSpec, ComponentOf("encoder")] = Field(description="x to the posterior's parameters")
    posterior: Annotated[ComponentSpec, ComponentOf("posterior", default="deterministic")] = Field(
        {}, validate_default=True, description="q(z given x)"
    )
    prior: Annotated[ComponentSpec, ComponentOf("prior", default="standard_normal")] = Field(
        {}, validate_default=True, description="p(z)"
    )
    decoder: Annotated[ComponentSpec, ComponentOf("decoder")] = Field(
        description="z to the likelihood's numbers; declares the variables"
    )
    likelihood: Annotated[ComponentSpec, ComponentOf("likelihood", default="bernoulli")] = Field(
        {}, validate_default=True, description="p(x given z); its cost is the distortion"
    )
    regularizers: list[Annotated[RegularizerSpec, ComponentOf("regularizer")]] = Field(
        [], description="further terms of the loss, each with a weight"
    )
    objective: Annotated[ComponentSpec, ComponentOf("objective", default="elbo")] = Field(
        {}, validate_default=True, description="which losses a step has"
    )

    @model_validator(mode="after")
    def _ids_differ(self) -> ModelSpec:
        ids = [item.id for item in self.regularizers]
        twice = sorted({item for item in ids if ids.count(item) > 1})
        if twice:
            raise ValueError(f"two regularizers have the id {twice[0]!r}: give one of them another `id`")
        return self
