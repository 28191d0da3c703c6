"""How long does `aerepr evaluate` take, and which part of it?

    python benchmarks/evaluate.py --out DIR          SAE-12 at 64 pixels on rooms, 15,000 rows: some minutes
    python benchmarks/evaluate.py --out DIR --dci    with the reference's DCI too, which takes minutes more

The weights are those of two steps, since how good they are makes no difference to the time. Of the rows, 10,000 are fitted on
and 5,000 scored. Prints seconds: of encoding, which metrics of codes share, of each metric without it, and of DCI apart.
Writes nothing but the run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from finish import finish

from aerepr.spec.read import spec_from_tables
from aerepr.workflows.evaluate import evaluate

TARGET_S = 300


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--dci", action="store_true", help="the reference's DCI too")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    return parser.parse_args(arguments)


def trained(out: Path, sets: Sequence[str]) -> Path:
    """A run of two steps."""
    tables = {
        "name": "evaluate",
        "model": {"recipe": "SAE-12"},
        "data": {"name": "rooms"},
        "train": {"steps": 2, "device": "cpu", "validate_every": 1_000_000},
    }
    return finish(spec_from_tables(tables, sets), out / "SAE-12")


def report(done: dict[str, Any], wall_s: float) -> str:
    """Seconds by part, the largest first, in Markdown."""
    seconds = done["perf"]["seconds"]
    counted = sum(value for label, value in seconds.items() if label != "dci")
    parts = sorted(seconds.items(), key=lambda pair: -pair[1])
    lines = ["| part | seconds |", "|---|---|"]
    lines += [f"| encoding, {what} | {value:.1f} |" for what, value in done["perf"]["encode_seconds"].items()]
    lines += [f"| {label} | {value:.2f} |" for label, value in parts]
    lines.append(f"| **metrics, without encoding and dci** (at most {TARGET_S}) | {counted:.1f} |")
    lines.append(f"| everything, with loading, data and pictures | {wall_s:.1f} |")
    lines += [f"\nnot computed: {label}: {reason}" for label, reason in done["refused"].items()]
    lines.append(f"\n{done['rows']:,} rows, {torch.get_num_threads()} threads, torch {torch.__version__}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train two steps, evaluate, print."""
    options = parsed(arguments)
    run = trained(options.out, options.sets)
    began = time.perf_counter()
    done = evaluate(run, rows=options.rows, told=print)
    wall_s = time.perf_counter() - began
    if options.dci:
        done["perf"]["seconds"] |= evaluate(run, names=["dci"], rows=options.rows)["perf"]["seconds"]
    print(report(done, wall_s))


if __name__ == "__main__":
    main()
