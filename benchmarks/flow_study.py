"""What the studies of plugins/aerepr-flow show beyond their tables: the claim seed by seed, folds, and strips side by side.

    aerepr study run FOLDER/mnist.toml --jobs 2              FOLDER: a copy of that study beside MNIST's two files of test images
    aerepr study run plugins/aerepr-flow/examples/rooms.toml --jobs 2
    python benchmarks/flow_study.py --out DIR                some minutes; of the studies that are there

- **Tables.** Those of docs/reproduction.md, mean ± standard deviation over the seeds: the equivariance error of drawn codes, and that
  of codes without noise; log p a frame, of 8 samples and of 64.
- **Claim.** In each seed and of each transformation the flow's error is below that of linear maps of the VAE `none` of the same seed,
  and below that of `matched`. Linear is the smaller of @linear and @linear_direct; within 1 % of it is a tie; what has a number missing
  is missing. By `represent_<k>` and by `sample_<k>`, both told.
- **Folds.** The share of the flow's steps at whose code I + H is not positive definite, which what the loss bounds needs.
- **Strips.** Of each transformation three test sequences that show it, and of each the true frames, those along the flow, by linear maps
  (of the VAE and map with the smallest error of that transformation) and of the flow's own code at rest: flow-mnist.png and
  flow-rooms.png, all of the first seed that has these runs, codes without noise. The copies that end in -blind have the sequences in
  another order, no names, and A, B and C for the last three in an order of its own for each sequence; the key is in flow_study.json.

Writes flow_study.json (each number under its seed) and .md into DIR; pictures into --pictures (left out: DIR).
Shape letters: B sequences, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
import torch
from aerepr_flow.metrics.equivariance_error import LinearMaps
from aerepr_flow.prediction import Predict, by_label, decoded
from aerepr_flow.walk import flow_objective
from standing import standing

import aerepr
from aerepr.evaluation.evaluate import Judged, over
from aerepr.sampling.pictures import labelled_rows, save_png
from aerepr.study.folder import StudyFolder, find
from aerepr.study.record import Record, Study
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run

STUDIES = ("flow-mnist", "flow-rooms")
ERROR = "equivariance_error"
WAYS = ("represent", "sample")
RIVALS = ("none", "matched")
MAPS = ("linear", "linear_direct")

# Lines of the tables: what, level of the axis `motion`, protocol of the errors, and that of the likelihoods, which maps have none of.
LINES = (
    ("flow, supervised", "flow", "", ""),
    ("flow, its code at rest", "flow", "@static", "@static"),
    *(
        line
        for rival in RIVALS
        for line in (
            (f"{rival}: code at rest", rival, "@static", "@static"),
            (f"{rival}: a linear map, T times", rival, "@linear", None),
            (f"{rival}: linear maps to each t", rival, "@linear_direct", None),
        )
    ),
)
LIKELIHOODS = {"log p": "likelihood", "log p, 64 samples": "likelihood-64"}

# What differs by no more, relatively, is a tie.
MARGIN = 0.01

# Sequences of each transformation that are pictured; how many times a pixel is repeated, the first that keeps a file small enough.
SEQUENCES = 3
SCALES = (2, 1)
LARGEST = 1_000_000
BLIND_SEED = 0

Outcome = Literal["holds", "fails", "tie", "missing"]


def at(study: Study, motion: str, seed: str) -> Record | None:
    """The run of a motion and seed, if it is done."""
    levels = {"motion": motion, "seed": seed}
    return next(
        (item for item in study.records if item.state == "done" and item.levels.items() >= levels.items()), None
    )


def number(study: Study, motion: str, seed: str, key: str) -> float | None:
    """None if the run is not done, or has no such finite number."""
    record = at(study, motion, seed)
    value = None if record is None else record.metrics.get(key)
    return value if value is not None and math.isfinite(value) else None


def transformations(study: Study) -> list[str]:
    """Their names in the order of k, as the numbers of the first run that is done have them."""
    done = next((record for record in study.records if record.state == "done"), None)
    start, end = f"{ERROR}.represent_", "@static"
    keys = () if done is None else done.metrics
    return [key[len(start) : -len(end)] for key in keys if key.startswith(start) and key.endswith(end)]


def by_seed(study: Study, motion: str, key: str) -> dict[str, float]:
    found = {seed: number(study, motion, seed, key) for seed in study.axes["seed"]}
    return {seed: value for seed, value in found.items() if value is not None}


def spread(values: Collection[float], digits: int = 1) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


# Tables.


def cells(study: Study, names: Sequence[str], way: str) -> dict[str, dict[str, dict[str, float]]]:
    """Numbers of a table by line, column and seed."""
    found = {}
    for label, motion, end, likelihood in LINES:
        keys = {name: f"{ERROR}.{way}_{name}{end}" for name in names}
        if likelihood is not None:
            keys |= {name: f"{id_}/sequence_log_likelihood.gaussian{likelihood}" for name, id_ in LIKELIHOODS.items()}
        found[label] = {name: by_seed(study, motion, key) for name, key in keys.items()}
    return found


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]], names: Sequence[str]) -> str:
    columns = [*names, *LIKELIHOODS]
    lines = [f"| | {' | '.join(columns)} | n |", f"|{'---|' * (len(columns) + 2)}"]
    for label, line in found.items():
        count = max((len(values) for values in line.values()), default=0)
        shown = (spread(line.get(column, {}).values()) for column in columns)
        lines.append(f"| {label} | {' | '.join(shown)} | {count} |")
    return "\n".join(lines) + "\n"


def folds(study: Study, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """By transformation and seed; empty where latents are too large for it."""
    return {name: by_seed(study, "flow", f"{ERROR}.folded_{name}") for name in names}


# The claim.


def judged(flow: float | None, maps: Sequence[float | None]) -> Outcome:
    """Whether the flow's error is below that of the better map, by more than the margin."""
    known = [value for value in maps if value is not None]
    if flow is None or len(known) < len(maps):
        return "missing"
    if abs(flow - min(known)) <= MARGIN * min(known):
        return "tie"
    return "holds" if flow < min(known) else "fails"


def claim(study: Study, names: Sequence[str], way: str) -> list[dict[str, Any]]:
    """Of each seed and transformation the errors that decide, and the outcome against either rival."""
    found = []
    for seed in study.axes["seed"]:
        for name in names:
            flow = number(study, "flow", seed, f"{ERROR}.{way}_{name}")
            one: dict[str, Any] = {"seed": seed, "transformation": name, "flow": flow}
            for rival in RIVALS:
                maps = {kind: number(study, rival, seed, f"{ERROR}.{way}_{name}@{kind}") for kind in MAPS}
                one[rival] = {**maps, "outcome": judged(flow, list(maps.values()))}
            found.append(one)
    return found


def verdict(what: str, found: Mapping[str, Outcome]) -> str:
    """A line: in how many places it holds, and where it does not."""
    line = f"- {what}: holds in {sum(outcome == 'holds' for outcome in found.values())} of {len(found)}"
    for word in ("fails", "tie", "missing"):
        if places := [place for place, outcome in found.items() if outcome == word]:
            line += f"; {word}: {', '.join(places)}"
    return line


def told(found: Sequence[Mapping[str, Any]], way: str) -> str:
    """The claim in Markdown, by one of the two ways."""
    lines = [
        f"| {way}: seed | transformation | flow | {' | | '.join(f'{rival}: linear' for rival in RIVALS)} | |",
        f"|{'---|' * (3 + 2 * len(RIVALS))}",
    ]
    for one in found:
        shown = [one["seed"], one["transformation"], "-" if one["flow"] is None else f"{one['flow']:.1f}"]
        for rival in RIVALS:
            known = {kind: one[rival][kind] for kind in MAPS if one[rival][kind] is not None}
            best = min(known, key=known.__getitem__) if known else None
            shown += ["-" if best is None else f"{known[best]:.1f} (@{best})", one[rival]["outcome"]]
        lines.append(f"| {' | '.join(shown)} |")
    lines.append("")
    for rival in RIVALS:
        outcomes = {f"seed {one['seed']} {one['transformation']}": one[rival]["outcome"] for one in found}
        lines.append(verdict(f"{way}: the flow errs less than the better linear map of {rival}", outcomes))
    return "\n".join(lines) + "\n"


# Strips.


@dataclass(frozen=True)
class Strip:
    """One test sequence: its transformation, its row, whose linear map is shown, and images (T, C, H, W) by what made them."""

    name: str
    row: int
    linear: str
    frames: dict[str, np.ndarray]


MADE = ("flow", "linear", "at rest")


def shown_seed(study: Study) -> str | None:
    """The first seed of which flow and rivals are done."""
    return next((seed for seed in study.axes["seed"] if all(at(study, one, seed) for one in ("flow", *RIVALS))), None)


def best_map(study: Study, seed: str, name: str) -> tuple[str, str]:
    """The rival and kind of map with the smallest error, of codes without noise."""
    pairs = {
        (rival, kind): number(study, rival, seed, f"{ERROR}.represent_{name}@{kind}")
        for rival in RIVALS
        for kind in MAPS
    }
    known = {pair: value for pair, value in pairs.items() if value is not None}
    if not known:
        raise SystemExit(f"{study.name}: no linear map of seed {seed} has an error of {name}: evaluate the study first")
    return min(known, key=known.__getitem__)


def opened(study: Study, motion: str, seed: str) -> Run:
    record = at(study, motion, seed)
    assert record is not None
    assert record.run is not None
    return aerepr.load(record.run)


def asked_rows(place: StudyFolder) -> int | None:
    """How many test sequences the errors of the study are of; None: all."""
    for item in place.read_plan()["evaluate"]:
        if any(name.partition("@")[0] == ERROR for name in item["asked"].get("metrics", ())):
            rows = item["asked"]["rows"]
            return None if rows == "full" else int(rows)
    raise SystemExit(f"{place.path}: its [[evaluate]] tables ask for no {ERROR}")


def chosen(judge: Judged, count: int) -> np.ndarray:
    """The first rows that show each transformation, so many of each, k after k."""
    rows_of: list[list[int]] = [[] for _ in range(count)]
    for batch in judge.evaluated():
        assert batch.label is not None
        for row, k in zip(batch.rows.tolist(), batch.label.tolist(), strict=True):
            if len(rows_of[k]) < SEQUENCES:
                rows_of[k].append(row)
        if all(len(rows) == SEQUENCES for rows in rows_of):
            break
    return np.array([row for rows in rows_of for row in rows], dtype=np.int64)


def walked(judge: Judged, predict: Predict) -> np.ndarray:
    """Frames decoded from the first code and from those that follow it, (B, T, C, H, W)."""
    (step,) = judge.encoded()
    codes = [step.z_BD, *predict(step, step.z_BD)]
    return torch.stack([decoded(judge, z_BD) for z_BD in codes], dim=1).numpy()


@torch.no_grad()
def strips(study: Study, seed: str, names: Sequence[str], rows: int | None) -> list[Strip]:
    """Of each transformation some test sequences.

    Args:
        rows: of the evaluation: maps are fitted to the sequences that its numbers are of.
    """
    run = opened(study, "flow", seed)
    source = run_source(run.directory, run.view, run.registry, run.data)
    every = source.choice("test", rows)
    picked = chosen(over(run.view, source, every), len(names))
    judge = over(run.view, source, picked)
    moved = walked(judge, by_label(flow_objective(run.view, "flow_study.py"), range(len(names))))
    (batch,) = judge.evaluated()
    assert batch.label is not None
    true = batch.x.numpy()
    best = {name: best_map(study, seed, name) for name in names}
    by_maps = {}
    for rival, kind in set(best.values()):
        view = opened(study, rival, seed).view
        maps = LinearMaps(over(view, source, every), len(names), kind == "linear_direct")
        by_maps[rival, kind] = walked(over(view, source, picked), maps.along("represent"))
    found = []
    for place, (row, k) in enumerate(zip(picked.tolist(), batch.label.tolist(), strict=True)):
        rival, kind = best[names[k]]
        rest = np.repeat(moved[place, :1], moved.shape[1], axis=0)
        made = (moved[place], by_maps[rival, kind][place], rest)
        frames = {"true": true[place], **dict(zip(MADE, made, strict=True))}
        found.append(Strip(names[k], row, f"{rival} @{kind}", frames))
    return found


def blind(found: Sequence[Strip]) -> tuple[list[tuple[str, np.ndarray]], list[dict[str, Any]]]:
    """Rows without names, in another order, and the key."""
    generator = np.random.Generator(np.random.PCG64(BLIND_SEED))
    rows, key = [], []
    for place, which in enumerate(generator.permutation(len(found)).tolist(), start=1):
        strip, order = found[which], [MADE[i] for i in generator.permutation(len(MADE))]
        letters = dict(zip("ABC", order, strict=True))
        rows += [(f"{place} true", strip.frames["true"])]
        rows += [(letter, strip.frames[made]) for letter, made in letters.items()]
        key.append(
            {"sequence": place, "transformation": strip.name, "row": strip.row, "linear": strip.linear, **letters}
        )
    return rows, key


def save(path: Path, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    """As large as keeps the file small enough."""
    for scale in SCALES:
        save_png(path, labelled_rows(list(rows), scale=scale, group=1 + len(MADE)))
        size = path.stat().st_size
        if size < LARGEST:
            print(f"{path}  {size:,} bytes")
            return
    raise SystemExit(f"{path}: {size:,} bytes, expected fewer than {LARGEST:,}: lower SEQUENCES")


def draw(found: Sequence[Strip], pictures: Path, name: str) -> list[dict[str, Any]]:
    """Both pictures of a study; the key of the blind one."""
    named = [
        (f"{strip.name} {made}" if made == "true" else made, frames)
        for strip in found
        for made, frames in strip.frames.items()
    ]
    rows, key = blind(found)
    save(pictures / f"{name}.png", named)
    save(pictures / f"{name}-blind.png", rows)
    return key


def shown(place: StudyFolder, study: Study, pictures: Path) -> tuple[dict[str, Any], str]:
    """What is kept of a study, and its Markdown."""
    absent = [f"{record.levels} is {record.state}" for record in study.records if record.state != "done"]
    kept: dict[str, Any] = {"absent": absent}
    names, parts = transformations(study), [f"## {study.name}\n"]
    if not names:
        return kept, "\n".join([*parts, "No run is done yet.\n", *(f"- left out: {line}" for line in absent)]) + "\n"
    kept |= {"tables": {}, "claims": {}, "folded": folds(study, names)}
    for way in reversed(WAYS):
        kept["tables"][way] = cells(study, names, way)
        parts += [f"`{ERROR}.{way}_<k>`, and log p of drawn codes, nats a frame:\n", table(kept["tables"][way], names)]
    for way in WAYS:
        kept["claims"][way] = claim(study, names, way)
        parts.append(told(kept["claims"][way], way))
    shares = ", ".join(f"{name} {spread(values.values(), 4)}" for name, values in kept["folded"].items())
    parts.append(f"Share of the flow's steps at which I + H is not positive definite, from drawn codes: {shares}.\n")
    seed = shown_seed(study)
    if seed is None:
        parts.append("No picture: no seed has all of its runs yet.\n")
    else:
        found = strips(study, seed, names, asked_rows(place))
        kept["pictures"] = {"seed": seed, "blind": draw(found, pictures, study.name)}
        linear = ", ".join(f"{name} {kind}" for name, kind in {strip.name: strip.linear for strip in found}.items())
        parts.append(f"Pictures: seed {seed}; linear maps: {linear}.\n")
    return kept, "\n".join([*parts, *(f"- left out: {line}" for line in absent)]) + "\n"


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures; left out: that of the figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    pictures = options.pictures or options.out
    kept: dict[str, Any] = {}
    parts = []
    for name in STUDIES:
        study = standing(options.runs, name)
        if study is None:
            parts.append(f"## {name}\n\nNot run.\n")
            continue
        pictures.mkdir(parents=True, exist_ok=True)
        kept[name], text = shown(find(options.runs, name), study, pictures)
        parts.append(text)
    if not kept:
        raise SystemExit(f"{options.runs}: none of {', '.join(STUDIES)} is here: aerepr study run first")
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(parts)
    (options.out / "flow_study.json").write_text(json.dumps(kept, indent=1) + "\n")
    (options.out / "flow_study.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
