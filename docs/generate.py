"""Writes docs/spec.md: every key of a spec, read off the classes that validate it.

python docs/generate.py            write the file
python docs/generate.py --check    fail if it is not what would be written
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aerepr.registry.entrypoints import KINDS
from aerepr.registry.registry import CORE, Registry
from aerepr.spec.model import ModelSpec, RegularizerSpec
from aerepr.spec.run import EvaluationSpec, RunSpec
from aerepr.spec.training import OptimizerSpec, PhaseSpec, ScheduleSpec, TrainSpec
from aerepr.workflows.catalogue import FieldRow, fields

TARGET = Path(__file__).with_name("spec.md")

HEAD = """# The spec, key by key

Written by `python docs/generate.py` from the classes that validate a spec; do not edit. A test keeps it true.

Order of authority: defaults < recipe < spec file < `--set a.b=c`, left to right. Tables merge key by key; scalars and
arrays replace. A component table whose `name` differs from the recipe's replaces it whole, and a `[[list]]` replaces the
recipe's list (`regularizers = []` clears it). List items have an `id`, the name when left out, by which `--set`,
schedules and logs address them. Paths are relative to the spec file. Keys marked *schedulable* may be the `target` of a
`[[train.schedules]]` item. A type followed by *(optional)* may be left out, and has no default.

`aerepr spec schema --out aerepr.schema.json` writes the same as a JSON Schema, installed plugins included. With
`#:schema aerepr.schema.json` as the first line of a spec beside it, an editor that uses taplo (the extension Even Better
TOML of VS Code, for one) completes keys, shows what they mean, and marks what is wrong; `taplo lint my.toml` does in a shell.
Write it again after installing a plugin. `aerepr check` says more: a schema cannot know whether components fit each other.
"""

TABLES: list[tuple[str, str, Any]] = [
    ("Top level", "", RunSpec),
    ("[model]", "Which components make the autoencoder. Each sub-table names one.", ModelSpec),
    ("[train]", "", TrainSpec),
    ("[train.optimizer]", "Also the `optimizer` of a regularizer with an adversary.", OptimizerSpec),
    ("[[train.schedules]]", "A value that follows the step number.", ScheduleSpec),
    ("[[train.phases]]", "Instead of `train.steps`: who learns, for how long, on which rows.", PhaseSpec),
    ("[evaluation]", "", EvaluationSpec),
    ("[[model.regularizers]]", "What every regularizer has, beside its own keys below.", RegularizerSpec),
]

WHERE = {
    "regularizer": "[[model.regularizers]]",
    "dataset": "[data]",
    "sampler": "[sampler]",
    "logger": "[[loggers]]",
    "traversal": "aerepr traverse --traversal NAME --set key=value",
    "exporter": "aerepr export --to NAME --set key=value",
    "metric": "evaluation.metrics",
}


def text() -> str:
    """The whole page."""
    registry = Registry()
    catalogue = {(note.kind, note.name): note for note in registry.catalogues[0].components}
    parts = [HEAD]
    for title, words, spec in TABLES:
        parts.append(
            _section(
                f"## `{title}`" if title.startswith("[") else f"## {title}", words, fields(spec), name=True, spec=spec
            )
        )
    for kind in KINDS:
        entries = [entry for entry in registry.entries(kind) if entry.package == CORE]
        if not entries:
            continue
        parts.append(f"## {kind.capitalize()}s\n\nTable: `{WHERE.get(kind, f'[model.{kind}]')}`\n")
        for entry in entries:
            note = catalogue[kind, entry.name]
            words = note.summary + (f" Source: {note.source}." if note.source else "")
            spec = registry.load(kind, entry.name).Spec
            parts.append(_section(f"### {kind} `{entry.name}`", words, fields(spec), spec=spec))
    return "\n".join(parts)


def _section(title: str, words: str, rows: list[FieldRow], name: bool = False, spec: Any = None) -> str:
    lines = [title, ""]
    if words:
        lines += [words, ""]
    if name and "name" in spec.model_fields and spec.model_fields["name"].description:
        rows = [_name_row(spec), *rows]
    if not rows:
        return "\n".join([*lines, "No keys of its own.", ""])
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        default = "" if row.default is None else f"`{json.dumps(row.default)}`"
        if row.required:
            default = "**required**" + (", unless a recipe gives it" if _recipe_may_give(spec, row.key) else "")
        meaning = row.description + (" *(schedulable)*" if row.schedulable else "")
        kind = row.type.replace("|", "\\|")
        lines.append(f"| `{row.key}` | {kind} | {default} | {meaning} |")
    return "\n".join([*lines, ""])


def _recipe_may_give(spec: Any, key: str) -> bool:
    return spec is ModelSpec or (spec is RunSpec and key == "train")


def _name_row(spec: Any) -> FieldRow:
    info = spec.model_fields["name"]
    default = None if info.is_required() else info.default
    return FieldRow("name", "str", default, info.is_required(), info.description or "", False)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0 if TARGET.read_text(encoding="utf-8") == text() else f"{TARGET} is out of date: python docs/generate.py"
        )
    TARGET.write_text(text(), encoding="utf-8")
