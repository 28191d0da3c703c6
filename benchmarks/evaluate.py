"""How long does `aerepr evaluate` take, and which part of it?

    python benchmarks/evaluate.py --out DIR             SAE-12 at 64 pixels on rooms, 15,000 rows, with the reference's DCI
    python benchmarks/evaluate.py --out DIR --no-dci    without it, which saves minutes

The weights are those of two steps, since how good they are makes no difference to the time. Of the rows, 10,000 are fitted on
and 5,000 scored. Prints seconds: of encoding, of DCI, and of everything else by metric. Give it a machine that does nothing
else. Writes nothing but the run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from finish import finish

from aerepr.evaluation.asked import default_names
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.evaluate import evaluate

TARGET_S = 300


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--dci", action=argparse.BooleanOptionalAction, default=True, help="the reference's DCI too")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    parser.add_argument(
        "--metric-set", dest="metric_sets", action="append", default=[], metavar="METRIC.KEY=VALUE", help="of metrics"
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
    """Seconds by part, metrics the slowest first, in Markdown."""
    encoding, metrics = done["perf"]["encode_seconds"], dict(done["perf"]["seconds"])
    dci = {label: metrics.pop(label) for label in ("dci",) if label in metrics}
    lines = ["| part | seconds |", "|---|---|"]
    lines += [f"| encoding, {what} | {value:.1f} |" for what, value in encoding.items()]
    lines.append(f"| **encoding** | {sum(encoding.values()):.1f} |")
    lines += [f"| **{label}** | {value:.1f} |" for label, value in dci.items()]
    lines += [f"| {label} | {value:.2f} |" for label, value in sorted(metrics.items(), key=lambda pair: -pair[1])]
    lines.append(f"| **metrics, without encoding and dci** (at most {TARGET_S}) | {sum(metrics.values()):.1f} |")
    lines.append(f"| everything, with loading and files | {wall_s:.1f} |")
    lines += [f"\nnot computed: {label}: {reason}" for label, reason in done["refused"].items()]
    lines.append(f"\n{done['rows']:,} rows, {torch.get_num_threads()} threads, torch {torch.__version__}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train two steps, evaluate, print."""
    options = parsed(arguments)
    run = trained(options.out, options.sets)
    names = [*default_names(Registry())[0], *(["dci"] if options.dci else [])]
    began = time.perf_counter()
    done = evaluate(run, names=names, rows=options.rows, sets=options.metric_sets, device="cpu", told=print)
    print(report(done, time.perf_counter() - began))


if __name__ == "__main__":
    main()
