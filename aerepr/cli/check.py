"""`aerepr check`."""

from __future__ import annotations

from typing import Any

from aerepr.cli import output
from aerepr.cli.options import Json, Sets, Spec

EXAMPLES = (
    "aerepr check spec.toml",
    "aerepr check spec.toml --set model.latent_dim=24 --json",
)


def check(spec: Spec, sets: Sets = None, as_json: Json = False) -> None:
    """Check a spec without training it.

    Shows every problem (and exits with 2), or parameters, what was chosen of depths, widths and places that the spec leaves
    out, shapes, memory and whether the decoder can be exported.
    """
    from aerepr.cli.progress import Work
    from aerepr.errors import Problem, SpecError

    with output.working():
        from aerepr.workflows import check as workflow

        try:
            _, report = workflow.check(spec, sets or (), Work())
            answer, problems = workflow.answer(report), report.problems
        except SpecError as cause:
            answer, problems = workflow.answer(None, cause.problems), list[Problem](cause.problems)
    if as_json:
        output.show(answer, True, str)
    if problems:
        raise SpecError(str(spec), problems)
    if not as_json:
        print(_text(str(spec), answer))


def _text(name: str, answer: dict[str, Any]) -> str:
    parameters = dict(answer["parameters"])
    adversaries = parameters.pop("adversaries", 0)
    total, trainable = parameters.pop("total"), parameters.pop("trainable")
    rows: list[tuple[str, str]] = [("parameters", f"{total:,} ({trainable:,} trainable)")]
    rows += [(f"  {part}", f"{count:,}") for part, count in parameters.items() if count]
    if adversaries:
        rows.append(("adversaries", f"{adversaries:,}, in neither sum"))
    variables = answer["layout"]
    rows.append(("latent", f"{answer['latent_dim']} dimensions in {len(variables)} variables of sizes {variables}"))
    rows += [(f"  {key}", " x ".join(map(str, sizes))) for key, sizes in answer["shapes"].items()]
    for path, chosen in answer["resolved"].items():
        rows += [(f"{path}.{key}", _words(value)) for key, value in chosen.items()]
    rows += [(f"memory: {key}", output.size(count)) for key, count in answer["memory"].items()]
    rows.append(("exportable", answer["exportable"]))
    rows += [("note", text) for text in answer["notes"]]
    return f"{name}: no problems\n{output.table(rows)}"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
