"""What every table of a spec shares: frozen, unknown keys and wrong types refused, components found by name.

A component's table is validated by the `Spec` class of the component it names, wherever that component comes from, and
every problem keeps its dotted path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
)
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from aerepr.errors import AereprError
from aerepr.registry.registry import Registry


def _with_strict_scalars(schema: Any) -> Any:
    """A pydantic schema in which numbers and truth values, wherever they are nested, are taken from their own type alone."""
    if isinstance(schema, list):
        return [_with_strict_scalars(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Keys of TOML are text, whatever they stand for.
    inside = {key: value if key == "keys_schema" else _with_strict_scalars(value) for key, value in schema.items()}
    return {**inside, "strict": True} if schema.get("type") in ("int", "float", "bool") else inside


class Table(BaseModel):
    """One table of a spec. No text stands for a number, and no number for a truth value; an integer is a float too."""

    # Infinities and NaN have no meaning as settings and would survive into every number of a run.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        # Not `strict` of the whole table: an array of TOML could then be no tuple, and a string no enumeration or path.
        schema: core_schema.CoreSchema = _with_strict_scalars(handler(source))
        return schema


T = TypeVar("T", bound="ComponentSpec")


class ComponentSpec(Table):
    """The table of a component; its `Spec` derives from this and adds the component's own fields."""

    name: str = Field(description="the component's name, as `aerepr plugins list` shows it")


# A field a schedule may drive. The component keeps it in a 0-dim float32 buffer of the same name, and reads that.
Schedulable = Annotated[float, Field(json_schema_extra={"schedulable": True})]


def is_schedulable(spec: type[BaseModel], field: str) -> bool:
    """Whether `[[train.schedules]]` may target this field."""
    info = spec.model_fields.get(field)
    return info is not None and _marked(info, "schedulable")


# A file or folder named in a spec, relative to the spec file (with --set of a command: to the current folder). Of data, only
# its last part counts in the spec hash.
DataPath = Annotated[str, Field(json_schema_extra={"path": True})]


def path_fields(spec: type[BaseModel]) -> list[str]:
    """Names of the fields that hold a `DataPath`, or may."""
    return [name for name, info in spec.model_fields.items() if _marked(info, "path")]


def anchored(spec: T, folder: Path) -> T:
    """A table whose relative paths start in a folder."""
    paths = {key: value for key in path_fields(type(spec)) if (value := getattr(spec, key))}
    return spec.model_copy(update={key: str(folder / value) for key, value in paths.items()})


def without_folders(spec: ComponentSpec, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a component in which of each path only the last part stands, in the components inside it too."""
    found = dict(tables)
    for key in path_fields(type(spec)):
        if key in found:
            found[key] = PurePath(found[key]).name
    for key in type(spec).model_fields:
        inner = getattr(spec, key)
        if isinstance(inner, ComponentSpec) and key in found:
            found[key] = without_folders(inner, found[key])
    return found


def _marked(info: FieldInfo, mark: str) -> bool:
    """Whether a field is of a marked type. In `Marked | None` the mark is inside the union, out of pydantic's sight."""
    inside = [note for part in get_args(info.annotation) for note in getattr(part, "__metadata__", ())]
    extras = [getattr(note, "json_schema_extra", None) for note in (info, *inside)]
    return any(isinstance(extra, dict) and bool(extra.get(mark)) for extra in extras)


@dataclass(frozen=True)
class ComponentOf:
    """Marks a field as the table of a component of one kind: `Annotated[ComponentSpec, ComponentOf("encoder")]`.

    Attributes:
        shorthand: whether the bare name stands for the table `{ name = "..." }`.
        default: the name of a table that gives none.
        nested: whether it stands in the table of a component of the same kind: a JSON Schema, which would have no end, then
            says only which names there are.
    """

    kind: str
    shorthand: bool = False
    default: str | None = None
    nested: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.validate, serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        registry = Registry()
        if self.nested:
            return {
                "type": "object",
                "properties": {"name": {"enum": registry.names(self.kind)}},
                "required": ["name"],
            }
        options = []
        for name in registry.names(self.kind):
            try:
                spec = registry.load(self.kind, name).Spec
            except AereprError:
                continue  # a broken plugin is reported by `plugins list` and must not stop the schema
            shape = handler(spec.__pydantic_core_schema__)
            options.append({"allOf": [shape, {"properties": {"name": {"const": name}}}]})
        return (
            {"anyOf": [*options, {"type": "string"}] if self.shorthand else options} if options else {"type": "object"}
        )

    def validate(self, value: Any, info: ValidationInfo) -> ComponentSpec:
        """The component's own spec, validated; errors keep their place inside the table."""
        if isinstance(value, ComponentSpec):
            return value
        if self.shorthand and isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise PydanticCustomError(
                "component_table",
                'expected a table with a name, such as name = "...", got {found}',
                {"found": repr(value)},
            )
        if self.default is not None and "name" not in value:
            value = {"name": self.default, **value}
        name = value.get("name")
        if not isinstance(name, str):
            raise _at(
                "name",
                f"expected the name of a {self.kind}, got {name!r}"
                if name is not None
                else f"missing: the name of a {self.kind}",
                name,
            )
        registry = info.context["registry"] if info.context else Registry()
        try:
            component = registry.load(self.kind, name)
        except AereprError as cause:
            raise _at("name", str(cause), name) from cause
        return component.Spec.model_validate(dict(value), context=info.context)


def component_of(info: FieldInfo) -> ComponentOf | None:
    """The mark of a field that holds a component, a list of them, or perhaps one; None of any other field."""
    return next((note for note in (*info.metadata, *_notes(info.annotation)) if isinstance(note, ComponentOf)), None)


def _notes(annotation: Any) -> Iterator[Any]:
    """What a type and the types inside it are annotated with."""
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from _notes(part)


def components(table: Table) -> Iterator[tuple[str, str]]:
    """Kind and name of every component that a table names, those inside other components too."""
    for key, info in type(table).model_fields.items():
        mark, value = component_of(info), getattr(table, key)
        for item in value if isinstance(value, list | tuple) else (value,):
            if mark is not None and isinstance(item, ComponentSpec):
                yield mark.kind, item.name
            if isinstance(item, Table):
                yield from components(item)


def _dump(value: ComponentSpec, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return value.model_dump(
        mode=info.mode, exclude_unset=info.exclude_unset, exclude_none=info.exclude_none, by_alias=info.by_alias
    )


def _at(key: str, message: str, found: Any) -> ValidationError:
    error = PydanticCustomError("component", "{message}", {"message": message})
    return ValidationError.from_exception_data("component", [InitErrorDetails(type=error, loc=(key,), input=found)])
