"""Tables as text for a terminal, as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from aerepr.errors import UsageError

Format = Literal["text", "json", "csv", "markdown", "latex"]

# On a terminal, longer levels are folded.
_LONGEST_WORD = 28

# Numbers between these are written without an exponent.
_SMALL, _LARGE = 1e-3, 1e6


@dataclass(frozen=True)
class Sheet:
    """A table of texts; its first `words` columns are words, the others numbers."""

    title: str
    header: list[str]
    rows: list[list[str]]
    words: int


def checked(name: str) -> Format:
    """A format by name.

    Raises:
        UsageError: there is none of that name.
    """
    for known in get_args(Format):
        if name == known:
            found: Format = known
            return found
    raise UsageError(f'format: expected {", ".join(get_args(Format))}, got "{name}"')


def number(value: float) -> float | str:
    """For JSON, which has no infinity."""
    return value if math.isfinite(value) else str(value)


def spread(mean: float, deviation: float | None) -> str:
    """Mean and deviation to two digits of the deviation, such as "0.123 ± 0.012"; a mean alone to four digits."""
    largest = max(abs(mean), deviation or 0.0)
    if largest and not _SMALL <= largest < _LARGE:
        power = math.floor(math.log10(largest))
        scaled = spread(mean / 10.0**power, None if deviation is None else deviation / 10.0**power)
        return f"{f'({scaled})' if deviation is not None else scaled}e{power:+03d}"
    digits = 3 - math.floor(math.log10(largest)) if largest else 3
    if deviation is None:
        return f"{mean:.{max(digits, 0)}f}"
    if deviation:
        # Never more than six digits of the mean, however close the runs are.
        digits = min(1 - math.floor(math.log10(deviation)), digits + 2)
    digits = max(digits, 0)
    shown = f"{deviation:.{digits}f}" if deviation >= 10.0**-digits or not deviation else f"{deviation:.1e}"
    return f"{mean:.{digits}f} ± {shown}"


def as_text(sheets: Sequence[Sheet], notes: Sequence[str], width: int | None = None) -> str:
    """Tables to read.

    Args:
        width: of the terminal; columns that do not fit follow below, with the words repeated. None: as wide as they are.
    """
    parts = []
    for sheet in sheets:
        parts.append("\n".join([*([sheet.title] if sheet.title else []), *_drawn(sheet, width)]))
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def _drawn(sheet: Sheet, width: int | None) -> Iterator[str]:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(width=width or 100_000, markup=False, highlight=False, color_system=None, file=io.StringIO())
    # Measured by itself, a table is never wider than the console.
    unbound = console.options.update(width=100_000)

    def drawn(first: int, last: int) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        columns = [*range(sheet.words), *range(first, last)]
        for column in columns:
            word = column < sheet.words
            # Where it is narrow, words are folded and numbers stay whole.
            limit = _LONGEST_WORD if word and width else None
            justify: Literal["left", "right"] = "left" if word else "right"
            table.add_column(sheet.header[column], justify=justify, no_wrap=not word, overflow="fold", max_width=limit)
        for row in sheet.rows:
            table.add_row(*(row[column] for column in columns))
        return table

    first, end = sheet.words, len(sheet.header)
    while first < end or first == sheet.words == end:
        last = min(first + 1, end)
        while last < end and console.measure(drawn(first, last + 1), options=unbound).maximum <= console.width:
            last += 1
        with console.capture() as captured:
            console.print(drawn(first, last))
        yield "\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines() if line.strip())
        if last == end:
            return
        yield ""
        first = last


# What would end a cell of Markdown.
_MARKED, _AFTER_BACKSLASH = re.compile(r"([\\|])"), r"\\\1"


def as_markdown(sheets: Sequence[Sheet], notes: Sequence[str]) -> str:
    """Tables as most Markdown readers know them."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(_MARKED.sub(_AFTER_BACKSLASH, cell) for cell in cells)} |"

    parts = []
    for sheet in sheets:
        rule = ["---"] * sheet.words + ["---:"] * (len(sheet.header) - sheet.words)
        lines = [line(sheet.header), line(rule), *map(line, sheet.rows)]
        parts.append("\n".join([f"{sheet.title}\n"] * bool(sheet.title) + lines))
    return "\n\n".join([*parts, *(["\n".join(f"- {note}" for note in notes)] if notes else [])])


def as_latex(sheets: Sequence[Sheet], notes: Sequence[str]) -> str:
    r"""Tables for a document that has `\usepackage{booktabs}`."""
    parts = [r"% \usepackage{booktabs}"]
    for sheet in sheets:
        header = [_escaped(cell) for cell in sheet.header]
        rows = [
            [_escaped(cell) if column < sheet.words else _number(cell) for column, cell in enumerate(row)]
            for row in sheet.rows
        ]
        columns = "l" * sheet.words + "r" * (len(header) - sheet.words)
        parts += [rf"\par {_escaped(sheet.title)}\par\smallskip"] if sheet.title else []
        parts += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(header) + r" \\", r"\midrule"]
        parts += [" & ".join(row) + r" \\" for row in rows]
        parts += [r"\bottomrule", r"\end{tabular}"]
    if notes:
        parts += [r"\par\smallskip{\footnotesize", *(rf"{_escaped(note)}\par" for note in notes), "}"]
    return "\n".join(parts)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    # A bracket that begins a line would be an option of the line break before it.
    "[": "{[}",
    "]": "{]}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _number(cell: str) -> str:
    """A cell with signs and exponents set as mathematics."""
    text = re.sub(r"(?<![\w.])-(?=\d|inf)", "$-$", _escaped(cell))
    return re.sub(r"(?<=[\d)])e([+-])0*(\d+)", lambda found: rf"$\times 10^{{{found[1].strip('+')}{found[2]}}}$", text)


def as_csv(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Numbers in full; nothing where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in line] for line in lines)
    return out.getvalue().rstrip("\n")
