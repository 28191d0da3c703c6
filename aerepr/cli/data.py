"""`aerepr data list|where|fetch|verify|inspect|render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aerepr.cli import output, transfer
from aerepr.cli.options import Json, Seed, Sets, Settings
from aerepr.cli.progress import Work

Published = Annotated[str, typer.Argument(metavar="NAME", help="A published data set, such as mnist or shapes3d.")]


def listing(as_json: Json = False) -> None:
    """List data sets and file formats for `[data]`.

    Of published ones also whether their files are here, how large these are and under which licence.
    """
    from aerepr.workflows import published

    rows = published.listing()
    output.show(rows, as_json, lambda: _list_text(rows))


def where(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A published data set; without it, the folder of all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where the files of a data set belong.

    Its folder, the files expected there and which of them are there, where they can be had, under which terms.
    AEREPR_DATA is the folder of all data sets; without it, `data` in the cache.
    """
    from aerepr.workflows import published

    answer = published.where(name)
    output.show(answer, as_json, lambda: _where_text(answer))


def fetch(
    name: Published,
    mirrors: Annotated[
        list[str] | None,
        typer.Option("--mirror", metavar="URL", help="A folder with the files, tried first; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download a published data set.

    Files that are there as published are kept; a transfer that broke off is resumed; sizes and hashes are checked.
    """
    with output.working():
        from aerepr.workflows import published

        with transfer.watch() as progress:
            answer = published.fetch(name, progress, mirrors or ())
    output.show(answer, as_json, lambda: _fetch_text(answer))


def verify(name: Published, as_json: Json = False) -> None:
    """Check the files of a published data set.

    Sizes and hashes as far as they are known, and whether the data set opens. Exits with 1 if something is wrong.
    """
    with output.working():
        from aerepr.workflows import published

        answer = published.verify(name)
    output.show(answer, as_json, lambda: _verify_text(answer))
    if not answer["ok"]:
        raise typer.Exit(1)


def inspect(
    subject: Annotated[str, typer.Argument(metavar="SPEC|NAME", help="A TOML spec file, or the name of a data set.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a picture of examples, .png.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Examples in the picture.")] = 64,
    seed: Seed = 0,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Look at a data set, or at the data of a spec.

    Shape, rows, splits and factors, and with --out FILE.png a picture of examples.
    """
    with output.working():
        from aerepr.workflows import data as workflow

        answer = workflow.inspect(subject, sets or (), out, n, seed, Work())
    output.show(answer, as_json, lambda: _text(answer))


def render(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, such as rooms or sprites.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write: .npz, .h5 or .png.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 1000,
    seed: Seed = 0,
    sets: Settings = None,
    as_json: Json = False,
) -> None:
    """Write examples of a data set to a file.

    Images or vectors with their factors (.npz, .h5), or a picture of them (.png).
    """
    with output.working():
        from aerepr.workflows import data as workflow

        answer = workflow.render(name, out, n, seed, sets or (), Work())
    output.show(answer, as_json, lambda: output.pairs(answer))


def _list_text(rows: list[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        card = row["card"]
        of_card = ("", "", "") if card is None else (row["present"], _size(row["size"]), card["licence"])
        cells.append((row["name"], row["package"], *of_card, row["summary"]))
    return output.table(cells, ("name", "package", "here", "size", "licence", "summary"))


def _where_text(answer: dict[str, Any]) -> str:
    if "files" not in answer:
        return str(answer["folder"])
    keys = ("folder", "title", "homepage", "licence", "citation", "by_hand")
    files = [
        (
            file["name"],
            "yes" if file["there"] else "optional" if file["optional"] else "no",
            _size(file["size"]),
            f"{file['hash'][:19]}..." if file["hash"] else "hash unknown",
            " ".join(file["urls"]) or "by hand",
        )
        for file in answer["files"]
    ]
    about = output.table([(key.replace("_", " "), answer[key]) for key in keys])
    return about + "\n\n" + output.table(files, ("file", "here", "size", "hash", "from"))


def _fetch_text(answer: dict[str, Any]) -> str:
    rows = [("fetched", name) for name in answer["fetched"]] + [("kept", name) for name in answer["kept"]]
    return output.table([*rows, ("folder", answer["folder"])])


def _verify_text(answer: dict[str, Any]) -> str:
    files = [(file["name"], file["state"], file["detail"]) for file in answer["files"]]
    opens = f"opens: {answer['rows']:,} rows" if answer["rows"] is not None else f"does not open: {answer['error']}"
    return output.table(files, ("file", "state", "")) + f"\n\n{answer['folder']}\n{opens}"


def _size(count: int | None) -> str:
    return "unknown" if count is None else output.size(count)


def _text(answer: dict[str, Any]) -> str:
    sizes = " x ".join(map(str, answer["shape"]["sizes"]))
    rows = [
        ("data set", answer["name"]),
        ("one example", f"{answer['shape']['kind']} {sizes}"),
        ("rows", f"{answer['rows']:,}"),
        *((f"  {split}", f"{count:,}") for split, count in answer["splits"].items()),
        *(("note", text) for text in answer["notes"]),
    ]
    if answer["picture"]:
        rows.append(("picture", answer["picture"]))
    if not answer["factors"]:
        return output.table([*rows, ("factors", "none")])
    factors = [(row["name"], row["classes"], f"{row['known']:,}") for row in answer["factors"]]
    return output.table(rows) + "\n\n" + output.table(factors, ("factor", "classes", "known rows"))


COMMANDS = {
    "list": (listing, ("aerepr data list",)),
    "where": (where, ("aerepr data where", "aerepr data where shapes3d")),
    "fetch": (fetch, ("aerepr data fetch mnist", "aerepr data fetch mnist --mirror https://example.org/mnist")),
    "verify": (verify, ("aerepr data verify mnist",)),
    "render": (
        render,
        (
            "aerepr data render rooms --out rooms.npz -n 5000 --set size=32",
            "aerepr data render sprites --out sprites.png -n 64",
        ),
    ),
    "inspect": (inspect, ("aerepr data inspect spec.toml", "aerepr data inspect mnist --out data.png -n 100")),
}
