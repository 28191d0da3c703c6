"""What adapts to factor values never seen, the encoder or the decoder? The paper's claim, seed by seed, and a picture.

    aerepr study run examples/studies/rooms_extrapolation.toml --jobs 2      about 20 minutes on two cores
    python benchmarks/adaptation.py --out DIR                                seconds

Of a study with the arms of figure 7 on its axis `learn`, whose runs are evaluated on `held-out` and on `seen` values. All errors
are 1000 times the mean squared error of a value.

- **Error** on values that the first phase never had, and in brackets on those it had.
- **Gap**, the difference of the two: what an image costs for having a new value. More training lowers both errors; only what
  is learned of the new value closes the gap.
- **Claim**: in how many seeds the error, and the gap, are lower where the decoder learned than where the encoder did.

Writes DIR/adaptation.json and .md, and into --pictures (left out: DIR) adaptation.png: of each model, for its first seed whose
arms are all done, held-out test images and what each arm makes of them.
Images are (N, C, H, W), in `reconstruct` (N, H, W, C).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from family_pictures import Rows, channels_first
from reproduction import channels_last, save, spread

import aerepr
from aerepr.errors import AereprError
from aerepr.sampling.pictures import labelled_rows
from aerepr.study.folder import StudyFolder, find
from aerepr.study.record import Record, Study, records
from aerepr.workflows.assemble import run_source

ARMS = ("neither", "encoder", "decoder", "both")
HELD_OUT, SEEN = "held-out", "seen"
ERROR = "reconstruction.mse"

COLUMNS, SCALE = 12, 2

# Of one run: error by rows. Of all that are done: by model, seed and arm.
Errors = dict[str, float]
Figures = dict[str, dict[str, dict[str, Errors]]]
Runs = dict[str, dict[str, dict[str, Record]]]


def model_of(record: Record) -> str:
    """What a run is called among the others: its levels but for seed and arm."""
    return " ".join(level for axis, level in record.levels.items() if axis not in ("seed", "learn"))


def runs_of(study: Study) -> Runs:
    """Every run that is done."""
    found: Runs = {}
    for record in study.records:
        if record.state == "done":
            arms = found.setdefault(model_of(record), {}).setdefault(record.levels["seed"], {})
            arms[record.levels["learn"]] = record
    return found


def errors_of(record: Record) -> Errors:
    return {rows: 1000 * record.metrics[f"{rows}/{ERROR}"] for rows in (HELD_OUT, SEEN)}


def gap(errors: Errors) -> float:
    """What an image costs for having a new value."""
    return errors[HELD_OUT] - errors[SEEN]


def claims(figures: Figures) -> str:
    """The figures in Markdown."""
    head = [f"| model | {' | '.join(ARMS)} |", f"|---|{'---|' * len(ARMS)}"]
    errors, gaps = list(head), list(head)
    counted = ["| model | lower error | lower gap | ratio of errors, of each seed |", "|---|---|---|---|"]
    for model, seeds in figures.items():
        cells: dict[str, list[str]] = {"error": [], "gap": []}
        for arm in ARMS:
            done = [arms[arm] for arms in seeds.values() if arm in arms]
            held, seen = ([one[rows] for one in done] for rows in (HELD_OUT, SEEN))
            cells["error"].append(f"{spread(held)} ({spread(seen)})" if done else "-")
            cells["gap"].append(spread([gap(one) for one in done]) if done else "-")
        errors.append(f"| {model} | {' | '.join(cells['error'])} |")
        gaps.append(f"| {model} | {' | '.join(cells['gap'])} |")
        both = [(arms["encoder"], arms["decoder"]) for arms in seeds.values() if {"encoder", "decoder"} <= arms.keys()]
        ratios = ", ".join(f"{encoder[HELD_OUT] / decoder[HELD_OUT]:.2f}" for encoder, decoder in both)
        lower = [_below(both, lambda one: one[HELD_OUT]), _below(both, gap)]
        counted.append(f"| {model} | {' | '.join(lower)} | {ratios} |")
    return "\n".join(
        [
            *errors,
            "",
            "1000 times the mean squared error of a value on held-out values, in brackets on those that the first phase had; mean "
            "± standard deviation over seeds.",
            "",
            *gaps,
            "",
            "The gap: the first of these less the second.",
            "",
            *counted,
            "",
            "In how many seeds error and gap are lower where the decoder learned than where the encoder did; the encoder's error "
            "over the decoder's.",
            "",
        ]
    )


def _below(pairs: Sequence[tuple[Errors, Errors]], value: Callable[[Errors], float]) -> str:
    count = sum(value(decoder) < value(encoder) for encoder, decoder in pairs)
    return f"{count} of {len(pairs)} seeds" if pairs else "-"


def held_out(folder: StudyFolder) -> dict[str, Any]:
    """The class indices by factor that the study calls held out."""
    asked = {item["id"]: item["asked"] for item in folder.read_plan()["evaluate"]}
    if HELD_OUT not in asked:
        raise SystemExit(f'{folder.plan}: no evaluation "{HELD_OUT}": name a study such as rooms-extrapolation')
    return dict(asked[HELD_OUT]["subset"])


def picture(runs: Runs, subset: Mapping[str, Sequence[int]]) -> np.ndarray | None:
    """Held-out images and what the arms make of them, of the first seed of each model that has all arms."""
    shown: Rows = []
    for model, seeds in runs.items():
        whole = next((arms for arms in seeds.values() if arms.keys() >= set(ARMS)), None)
        if whole is not None:
            shown += _rows(model, whole, subset)
    return labelled_rows(shown, scale=SCALE, group=1 + len(ARMS)) if shown else None


def _rows(model: str, arms: Mapping[str, Record], subset: Mapping[str, Sequence[int]]) -> Rows:
    opened = {arm: aerepr.load(arms[arm].run) for arm in ARMS}
    one = opened[ARMS[0]]
    source = run_source(one.directory, one.view, one.registry, one.data)
    images = source.examples(source.choice("test", COLUMNS, subset)).cpu().numpy()
    made = [(arm, channels_first(run.reconstruct(channels_last(images)))) for arm, run in opened.items()]
    return [(f"{model} held out", images), *made]


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="rooms-extrapolation", help="folder, name or TOML file")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--pictures", type=Path, help="folder for the picture; left out: that of the figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    try:
        folder = find(options.runs, options.study)
        study = records(folder.path)
        subset = held_out(folder)
    except AereprError as cause:
        raise SystemExit(str(cause)) from cause
    runs = runs_of(study)
    if not runs:
        raise SystemExit(f"{study.name}: no run is done yet: aerepr study run first")
    figures: Figures = {
        model: {seed: {arm: errors_of(record) for arm, record in arms.items()} for seed, arms in seeds.items()}
        for model, seeds in runs.items()
    }
    absent = [f"{record.levels} is {record.state}" for record in study.records if record.state != "done"]
    options.out.mkdir(parents=True, exist_ok=True)
    kept = {"study": study.name, "absent": absent, "mse_x1000": figures}
    (options.out / "adaptation.json").write_text(json.dumps(kept, indent=1) + "\n")
    text = "\n".join([claims(figures), *(f"- left out: {line}" for line in absent)])
    (options.out / "adaptation.md").write_text(text)
    drawn = picture(runs, subset)
    if drawn is not None:
        pictures = options.pictures or options.out
        pictures.mkdir(parents=True, exist_ok=True)
        save(pictures / "adaptation.png", drawn)
    print(text)


if __name__ == "__main__":
    main()
