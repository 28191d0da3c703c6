"""What the studies of plugins/aerepr-discrete show beyond their tables: a grid against its twin, and what the gap picks.

    aerepr study run plugins/aerepr-discrete/examples/rooms.toml --jobs 2
    aerepr study run plugins/aerepr-discrete/examples/sprites.toml --jobs 2
    python benchmarks/discrete_study.py --out DIR            seconds; of the studies that are there

- **Tables.** Those of docs/reproduction.md: mean ± standard deviation over the seeds by model, and a line for every planned run.
- **Twins.** In each seed MIG and DCI of `grid` are above those of `normal`; within 0.005 is a tie, and a run without the number is
  missing. The difference, grid less normal, averaged over the seeds, with the percentiles of a bootstrap over seeds.
- **Gap.** Spearman's rho of the gap with MIG and with DCI over the grids of all widths, and within widths: runs are ranked within their
  width, ranks centred, and correlated over all; the bootstrap draws as many runs of each width as there are. It holds if both are
  negative and both intervals lie below 0; else it is not shown; with a run missing it is missing.
- **Selection.** The run of the lowest gap is above the median of all grids and above that of its width, in MIG and in DCI.
- **Reliability.** Spearman's rho of the gap with that of other rows (`again`): how much of an order by the gap is the runs' own.

Writes discrete_study.json and .md into DIR. Shape letters: N runs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, Literal

import numpy as np
from standing import standing

from aerepr.study.rank import LEAST, RESAMPLES, Array, Rho, average_ranks, correlate
from aerepr.study.record import Record, Study

STUDIES = ("discrete-rooms", "discrete-sprites", "discrete-published")
GRID, NORMAL = "grid", "normal"
GRIDS = (GRID, "grid-narrow")
GAP, AGAIN = "straight_through_gap.score", "again/straight_through_gap.score"
JUDGED = {"MIG": "mig.score", "DCI": "dci.disentanglement"}

# Columns of the tables: name, key, digits.
COLUMNS = (
    *((name, key, 3) for name, key in JUDGED.items()),
    ("bce", "reconstruction.bce", 1),
    ("bce, likeliest position", "straight_through_gap.hard", 1),
    ("rate", "rate.total", 2),
    ("collapsed", "rate.collapsed", 1),
    ("gap", GAP, 2),
)

# What differs by no more is a tie.
MARGIN = 0.005
OUTSIDE = (0.025, 0.975)
SEED = 0

Outcome = Literal["holds", "fails", "tie", "missing"]


def number(record: Record | None, key: str) -> float | None:
    """None if the run is not done, or has no such finite number."""
    value = record.metrics.get(key) if record is not None and record.state == "done" else None
    return value if value is not None and math.isfinite(value) else None


def at(study: Study, model: str, seed: str) -> Record | None:
    levels = {"model": model, "seed": seed}
    return next((record for record in study.records if record.levels == levels), None)


def of(study: Study, models: Collection[str]) -> list[Record]:
    """The planned runs of these levels, in the order of the study."""
    return [record for record in study.records if record.levels["model"] in models]


def called(record: Record) -> str:
    return f"{record.levels['model']} seed {record.levels['seed']}"


def spread(values: Collection[float], digits: int) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def between(low: float | None, high: float | None, digits: int = 2) -> str:
    return "-" if low is None or high is None else f"[{low:.{digits}f}, {high:.{digits}f}]"


# Tables.


def table(study: Study) -> str:
    """By model; n: its runs that are done."""
    lines = [f"| model | {' | '.join(name for name, _, _ in COLUMNS)} | n |", f"|{'---|' * (len(COLUMNS) + 2)}"]
    for model in study.axes["model"]:
        runs = of(study, [model])
        cells = []
        for _, key, digits in COLUMNS:
            values = [value for run in runs if (value := number(run, key)) is not None]
            cells.append(spread(values, digits))
        lines.append(f"| {model} | {' | '.join(cells)} | {sum(run.state == 'done' for run in runs)} |")
    return "\n".join(lines) + "\n"


def runs_table(study: Study) -> str:
    lines = [f"| run | {' | '.join(name for name, _, _ in COLUMNS)} | state |", f"|{'---|' * (len(COLUMNS) + 2)}"]
    for run in study.records:
        values = [(number(run, key), digits) for _, key, digits in COLUMNS]
        cells = ["-" if value is None else f"{value:.{digits}f}" for value, digits in values]
        lines.append(f"| {called(run)} | {' | '.join(cells)} | {run.state} |")
    return "\n".join(lines) + "\n"


# The claims.


def above(first: float | None, second: float | None) -> Outcome:
    """Whether the first is above the second by more than the margin."""
    if first is None or second is None:
        return "missing"
    if abs(first - second) <= MARGIN:
        return "tie"
    return "holds" if first > second else "fails"


def verdict(what: str, found: Mapping[str, Outcome]) -> str:
    """A line: in how many places it holds, and where it does not."""
    words = [f"holds in {sum(outcome == 'holds' for outcome in found.values())} of {len(found)}"]
    for word in ("fails", "tie", "missing"):
        if places := [place for place, outcome in found.items() if outcome == word]:
            words.append(f"{word}: {len(places)} of {len(found)} ({', '.join(places)})")
    return f"- {what}: {'; '.join(words)}"


def twins(study: Study, key: str) -> dict[str, Any]:
    """Outcome and difference by seed; the mean difference with its bootstrap interval over seeds."""
    outcomes, differences = {}, {}
    for seed in study.axes["seed"]:
        pair = [number(at(study, model, seed), key) for model in (GRID, NORMAL)]
        outcomes[f"seed {seed}"] = above(*pair)
        if pair[0] is not None and pair[1] is not None:
            differences[seed] = pair[0] - pair[1]
    found: dict[str, Any] = {"outcomes": outcomes, "differences": differences, "mean": None, "interval": None}
    if differences:
        values_N = np.array(list(differences.values()))
        found["mean"] = float(values_N.mean())
        if len(values_N) > 1:
            draws = np.random.Generator(np.random.PCG64(SEED)).integers(0, len(values_N), (RESAMPLES, len(values_N)))
            found["interval"] = np.quantile(values_N[draws].mean(axis=1), OUTSIDE).tolist()
    return found


def rho_within(groups: Sequence[tuple[Array, Array]]) -> float | None:
    """The correlation of ranks within groups, less their mean in the group, over all groups."""
    a_N, b_N = (
        np.concatenate([ranks_N - ranks_N.mean() for ranks_N in (average_ranks(pair[side]) for pair in groups)])
        for side in (0, 1)
    )
    scale = math.sqrt(float(a_N @ a_N) * float(b_N @ b_N))
    return float(a_N @ b_N) / scale if scale else None


def correlate_within(groups: Sequence[tuple[Array, Array]]) -> Rho:
    """`rho_within` with its interval: each resample has of every group as many runs as it has."""
    n = sum(len(first_N) for first_N, _ in groups)
    if n < LEAST:
        return Rho(n, note=f"too few runs (n = {n}, {LEAST} needed)")
    value = rho_within(groups)
    if value is None:
        return Rho(n, note="not defined: within the widths the values of one side are all equal")
    generator = np.random.Generator(np.random.PCG64(SEED))
    found = []
    for _ in range(RESAMPLES):
        rows = [generator.integers(0, len(first_N), len(first_N)) for first_N, _ in groups]
        drawn = [(first_N[row], second_N[row]) for (first_N, second_N), row in zip(groups, rows, strict=True)]
        found.append(rho_within(drawn))
    known = [rho for rho in found if rho is not None]
    low, high = np.quantile(known, OUTSIDE)
    left_out = RESAMPLES - len(known)
    note = f"{left_out} of {RESAMPLES} resamples, with equal values alone, left out" if left_out else ""
    return Rho(n, value, float(low), float(high), left_out, note)


def correlations(study: Study, key: str) -> dict[str, Any]:
    """Rho of the gap with a number, pooled and within widths, of the runs that have both, and whether any has not."""
    groups, missing = [], []
    for model in GRIDS:
        pairs = []
        for run in of(study, [model]):
            gap, value = number(run, GAP), number(run, key)
            if gap is None or value is None:
                missing.append(called(run))
            else:
                pairs.append((gap, value))
        if pairs:
            groups.append((np.array([gap for gap, _ in pairs]), np.array([value for _, value in pairs])))
    if not groups:
        return {"pooled": Rho(0, note="no run has it"), "within": Rho(0, note="no run has it"), "missing": missing}
    pooled = correlate(*(np.concatenate([pair[side] for pair in groups]) for side in (0, 1)), seed=SEED)
    return {"pooled": pooled, "within": correlate_within(groups), "missing": missing}


def shown_by(found: Mapping[str, Any]) -> str:
    """Whether a small gap goes with large values."""
    if found["missing"]:
        return f"missing: {', '.join(found['missing'])}"
    both = [found["pooled"], found["within"]]
    if any(rho.n < LEAST for rho in both):
        return "too few runs"
    below = all(rho.value is not None and rho.value < 0 and rho.high is not None and rho.high < 0 for rho in both)
    return "holds" if below else "not shown"


def selection(study: Study) -> dict[str, Any] | None:
    """What the lowest gap picks, and whether it is above both medians; None where too few runs were planned."""
    grids = of(study, GRIDS)
    if len(grids) < LEAST:
        return None
    gaps = [(gap, run) for run in grids if (gap := number(run, GAP)) is not None]
    picked = min(gaps, key=lambda pair: pair[0])[1] if len(gaps) == len(grids) else None
    found: dict[str, Any] = {"run": called(picked) if picked else None, "outcomes": {}}
    for name, key in JUDGED.items():
        width = picked.levels["model"] if picked else GRID
        for place, among in (("all grids", grids), ("its width", of(study, [width]))):
            known = [value for run in among if (value := number(run, key)) is not None]
            middle = median(known) if len(known) == len(among) else None
            found["outcomes"][f"{name}, {place}"] = above(number(picked, key), middle)
    return found


# The page.


def rho_line(name: str, way: str, rho: Rho) -> str:
    value = "-" if rho.value is None else f"{rho.value:.2f}"
    return f"| {name} | {way} | {rho.n} | {value} | {between(rho.low, rho.high)} | {rho.note} |"


def shown(study: Study) -> tuple[dict[str, Any], str]:
    """What is kept of a study, and its Markdown."""
    runs = {
        called(run): {"state": run.state, **{key: number(run, key) for _, key, _ in COLUMNS}, AGAIN: number(run, AGAIN)}
        for run in study.records
    }
    kept: dict[str, Any] = {"runs": runs, "twins": {}, "gap": {}}
    parts = [f"## {study.name}\n", table(study), runs_table(study)]
    lines = []
    for name, key in JUDGED.items():
        found = kept["twins"][name] = twins(study, key)
        lines.append(verdict(f"{name} of the grid is above that of its twin", found["outcomes"]))
        if found["mean"] is not None:
            interval = between(*(found["interval"] or (None, None)), digits=3)
            lines.append(f"  mean difference {found['mean']:.3f}, 95 % {interval}, n = {len(found['differences'])}")
    rhos = ["| the gap with | runs | n | rho | 95 % interval | |", "|---|---|---|---|---|---|"]
    for name, key in {**JUDGED, "the gap of other rows": AGAIN}.items():
        found = correlations(study, key)
        rhos += [rho_line(name, way, found[way]) for way in ("pooled", "within")]
        kept["gap"][name] = {way: asdict(found[way]) for way in ("pooled", "within")} | {"missing": found["missing"]}
        if name in JUDGED:
            kept["gap"][name]["outcome"] = shown_by(found)
            lines.append(f"- a small gap goes with {name}: {shown_by(found)}")
    picked = kept["selection"] = selection(study)
    if picked:
        lines.append(verdict(f"the lowest gap ({picked['run']}) is above the median", picked["outcomes"]))
    parts += ["\n".join(lines) + "\n", "\n".join(rhos) + "\n"]
    absent = [f"- left out: {called(run)} is {run.state}: {run.error}" for run in study.records if run.state != "done"]
    return kept, "\n".join([*parts, *absent]) + "\n"


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    kept: dict[str, Any] = {}
    parts = []
    for name in STUDIES:
        study = standing(options.runs, name)
        if study is None:
            parts.append(f"## {name}\n\nNot run.\n")
            continue
        kept[name], text = shown(study)
        parts.append(text)
    if not kept:
        raise SystemExit(f"{options.runs}: none of {', '.join(STUDIES)} is here: aerepr study run first")
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(parts)
    (options.out / "discrete_study.json").write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n")
    (options.out / "discrete_study.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
