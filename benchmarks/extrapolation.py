"""What must learn for a model to reconstruct factor values it never saw? The study of extrapolation, small.

    python benchmarks/extrapolation.py --out DIR                 the sphere is held out: about 20 minutes on two cores
    python benchmarks/extrapolation.py --out DIR --hold-out angle

Each model of MODELS trains on rooms without the held-out values (phase 1), then on everything with the encoder, the decoder or
both learning (phase 2); the three arms branch from the same checkpoint, which is itself the fourth, "neither". Scored is
1000 times the mean squared error of a value, on held-out values of the test split, which no phase trains on.

The specs are examples/extrapolation_*.toml with the settings below, chosen so that two cores do in minutes what the paper does
in hours: compare the columns and their order with the paper's figures 7 and 12, not the numbers.

Writes DIR/<hold-out>/<model>/<arm>, the runs, and DIR/extrapolation-<hold-out>.json and .md, the table. Killed and started
again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from finish import finish

from aerepr.spec.read import read_spec
from aerepr.spec.run import RunSpec
from aerepr.workflows.evaluate import evaluate

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

MODELS = ("SAE-12", "VLAE-12", "AE", "VAE")

# Held-out values, and those that phase 1 trains on.
HOLD_OUTS = {
    "shape": ({"shape": [2]}, {"shape": [0, 1, 3]}),
    "angle": (
        {"orientation": [0, 1, 2, 12, 13, 14]},
        {"orientation": [3, 4, 5, 6, 7, 8, 9, 10, 11]},
    ),
}

# What learns in phase 2; "neither" has none.
ARMS = {"encoder": ["encoder"], "decoder": ["decoder"], "both": None}

PHASE_1, PHASE_2 = 3600, 900
SETTINGS = (
    *("data.size=32", "model.encoder.width=32", "model.decoder.width=32"),
    *("train.batch_size=32", "train.optimizer.lr=1e-3"),
    *("train.log_every=100", "train.validate_every=100000", "train.checkpoint_every=300"),
)

# Test images a score is taken on: 25 batches of 128, as in the paper.
ROWS = 3200


def specs(hold_out: str, model: str, sets: Sequence[str]) -> dict[str, RunSpec]:
    """The spec of each arm; the first is that of phase 1 alone."""
    common = (
        f"model.recipe={model}",
        f"train.phases.first.steps={PHASE_1}",
        f"train.phases.adapt.steps={PHASE_2}",
        *SETTINGS,
        *sets,
    )
    path = EXAMPLES / f"extrapolation_{hold_out}.toml"
    both = read_spec(path, common)
    first = both.train.model_copy(update={"phases": both.train.phases[:1]})
    found = {"neither": both.model_copy(update={"train": first})}
    for arm, learn in ARMS.items():
        found[arm] = (
            both if learn is None else read_spec(path, [*common, f"train.phases.adapt.learn={json.dumps(learn)}"])
        )
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train what is not trained yet, and score every run."""
    held, seen = HOLD_OUTS[options.hold_out]
    errors: dict[str, dict[str, dict[str, float]]] = {}
    began = time.perf_counter()
    for model in options.models:
        folder = options.out / options.hold_out / model
        planned = specs(options.hold_out, model, options.sets)
        for arm, spec in planned.items():
            run = finish(spec, folder / arm, branch=None if arm == "neither" else folder / "neither")
            for values, subset in (("held_out", held), ("seen", seen)):
                done = evaluate(run, names=["reconstruction"], subset=subset, rows=options.rows)
                scores = errors.setdefault(model, {}).setdefault(values, {})
                scores[arm] = round(1000 * done["metrics"]["reconstruction.mse"], 3)
    return {
        "steps": [phase.steps for phase in planned["both"].train.phases],
        "hold_out": {name: list(classes) for name, classes in held.items()},
        "settings": [*SETTINGS, *options.sets],
        "rows": options.rows,
        "machine": f"{torch.get_num_threads()} threads, torch {torch.__version__}",
        "seconds_of_this_call": round(time.perf_counter() - began),
        "mse_x1000": errors,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures in Markdown: held-out values, and in brackets the values that phase 1 had too."""
    arms = ["neither", *ARMS]
    lines = [f"| model | {' | '.join(arms)} |", f"|---|{'---|' * len(arms)}"]
    for model, errors in figures["mse_x1000"].items():
        cells = (f"{errors['held_out'][arm]:.2f} ({errors['seen'][arm]:.2f})" for arm in arms)
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything written")
    parser.add_argument("--hold-out", choices=HOLD_OUTS, default="shape")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the settings"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    figures = measure(options)
    stem = options.out / f"extrapolation-{options.hold_out}"
    stem.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    stem.with_suffix(".md").write_text(table(figures))
    print(table(figures))


if __name__ == "__main__":
    main()
