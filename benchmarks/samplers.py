"""Which samples are nearest to the data, and how much do the judge and the size of the bank decide? Of the study on rooms.

    aerepr train examples/rooms_judge_adaptive.toml            a second judge, a quarter of an hour
    python benchmarks/samplers.py --out DIR                    some minutes, of the study examples/studies/rooms.toml once it is run

Hybrid sampling recombines 128 training images, as published; a Gaussian is fitted to 10,000. What 128 images lack, such as a hue that
they have too seldom, no recombination brings back, and the Frechet distance counts it. So beside the study's samplers are

- **bank alone**: the 128 codes themselves, decoded as they are. What they cost without any recombination.
- **hybrid, all**: hybrid samples from a bank of all codes that the run kept.
- **independent**: a Gaussian of the same means and variances, without covariance, as hybrid samples have none between variables.

Five banks of 128 for each run, and as many draws of everything else, whose means are compared. Each judge compares 2,000 samples with
2,000 test images; `floor` is the distance of 2,000 other test images.

Writes samplers.json and .md into DIR. Shape letters: N images, D latent dimensions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from reproduction import quality, recipe_of, spread, test_rows

import aerepr
from aerepr.errors import AereprError
from aerepr.layers.frechet import Moments, frechet_distance
from aerepr.study.folder import find
from aerepr.study.record import Record, records
from aerepr.workflows.load import Run

ROWS, DRAWS, BANK = 2000, 5, 128

# In the order of the table. "prior" is left out where a model was not trained towards one.
MADE = ("reconstruction", "bank alone", "hybrid", "hybrid, all", "independent", "gaussian", "prior")
# What is asked: is the first nearer than the second?
ASKED = (
    ("hybrid", "prior"),
    ("hybrid, all", "prior"),
    ("hybrid", "gaussian"),
    ("hybrid, all", "gaussian"),
    ("hybrid, all", "independent"),
)

# Images of a sampler, given how many and a seed.
Draw = Callable[[int, int], np.ndarray]


def samplers(run: Run) -> dict[str, Draw]:
    """Everything that is compared but reconstructions, by its name in `MADE`."""
    codes_ND = run.view.codes.cpu().numpy()

    def bank_alone(count: int, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        bank_ND = codes_ND[random.choice(len(codes_ND), BANK, replace=False)]
        return run.decode(bank_ND[random.integers(BANK, size=count)])

    made: dict[str, Draw] = {
        "bank alone": bank_alone,
        "hybrid": lambda count, seed: run.sample(count, seed, "hybrid", {"size": BANK, "seed": seed}),
        "hybrid, all": lambda count, seed: run.sample(count, seed, "hybrid", {"size": len(codes_ND)}),
        "independent": lambda count, seed: run.sample(count, seed, "gaussian", {"diagonal": True}),
        "gaussian": lambda count, seed: run.sample(count, seed, "gaussian"),
    }
    if run.view.trained_to_prior:
        made["prior"] = lambda count, seed: run.sample(count, seed, "prior")
    return made


def moments(judge: Run, images: np.ndarray) -> Moments:
    codes_ND = torch.from_numpy(judge.encode(images))
    return Moments.of([codes_ND], len(codes_ND))


def distances(run: Run, judges: Mapping[str, Run], rows: int, draws: int) -> dict[str, dict[str, list[float]]]:
    """By judge and by what was made, the distance of each draw."""
    images, _, _ = test_rows(run, 2 * rows)
    real, other = images[:rows], images[rows:]
    data = {name: moments(judge, real) for name, judge in judges.items()}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in judges}

    def add(what: str, made: np.ndarray) -> None:
        for name, judge in judges.items():
            found[name].setdefault(what, []).append(frechet_distance(data[name], moments(judge, made)))

    add("floor", other)
    add("reconstruction", run.reconstruct(real))
    for what, draw in samplers(run).items():
        for seed in range(draws):
            add(what, draw(rows, seed))
    return found


def table(found: Mapping[str, Mapping[str, Any]], judge: str) -> list[str]:
    """Means over the draws, then mean ± standard deviation over the seeds."""
    lines = [f"| recipe | {' | '.join(MADE)} |", f"|{'---|' * (len(MADE) + 1)}"]
    for recipe, seeds in found.items():
        cells = []
        for what in MADE:
            means = [fmean(seed[judge][what]) for seed in seeds.values() if what in seed[judge]]
            cells.append(spread(means, 3) if means else "-")
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return lines


def verdicts(found: Mapping[str, Mapping[str, Any]], judge: str) -> list[str]:
    """In how many seeds of each recipe one kind of sample is nearer to the data than another, by the mean of their draws."""
    lines = []
    for one, other in ASKED:
        parts = []
        for recipe, seeds in found.items():
            both = [seed[judge] for seed in seeds.values() if {one, other} <= seed[judge].keys()]
            if both:
                nearer = sum(fmean(seed[one]) < fmean(seed[other]) for seed in both)
                parts.append(f"{recipe} {nearer} of {len(both)}")
        lines.append(f"- {one} nearer than {other}, in seeds: {', '.join(parts) or 'none has both'}")
    return lines


def report(found: Mapping[str, Mapping[str, Any]], seen: Mapping[str, Any], rows: int, draws: int) -> str:
    """The figures in Markdown."""
    lines: list[str] = []
    for judge, told in seen.items():
        factors = ", ".join(f"{name} {value:.3f}" for name, value in told["explicitness"].items())
        floors = [value for seeds in found.values() for seed in seeds.values() for value in seed[judge]["floor"]]
        lines += [
            f"## {judge}",
            "",
            f"Mean squared error {told['mse']:.5f} a value; explicitness of its codes (0.5 is chance): {factors}. "
            f"{rows:,} other test images are at {fmean(floors):.4f}.",
            "",
            *table(found, judge),
            "",
            *verdicts(found, judge),
            "",
        ]
    lines.append(f"Squared Fréchet distances of {rows:,} images, means of {draws} draws, then of the seeds.")
    return "\n".join(lines) + "\n"


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="rooms", help="a study of recipes and seeds: folder, name or TOML file")
    parser.add_argument("--judges", nargs="+", default=["rooms-judge", "rooms-judge-adaptive"], help="finished runs")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--rows", type=int, default=ROWS, help="images of each kind")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws, and banks, of each sampler")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    try:
        study = records(find(options.runs, options.study).path)
        judges = {name: aerepr.load(name, options.runs) for name in options.judges}
    except AereprError as cause:
        raise SystemExit(str(cause)) from cause
    done: list[Record] = [record for record in study.records if record.state == "done"]
    if not done:
        raise SystemExit(f"{study.name}: no run is done yet: aerepr study run first")
    found: dict[str, dict[str, Any]] = {}
    for record in done:
        assert record.run is not None
        measured = distances(aerepr.load(record.run), judges, options.rows, options.draws)
        found.setdefault(recipe_of(record), {})[record.levels["seed"]] = measured
        print(f"{recipe_of(record)} seed {record.levels['seed']}", flush=True)
    seen = {name: quality(judge, options.rows) for name, judge in judges.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    kept = {"study": study.name, "rows": options.rows, "draws": options.draws, "judges": seen, "recipes": found}
    (options.out / "samplers.json").write_text(json.dumps(kept, indent=1) + "\n")
    text = report(found, seen, options.rows, options.draws)
    (options.out / "samplers.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
