"""What the studies of plugins/aerepr-decomposition show beyond their tables: heat maps of aggregate posteriors, and plots.

    aerepr study run plugins/aerepr-decomposition/examples/pinwheel.toml --jobs 2
    aerepr study run plugins/aerepr-decomposition/examples/pinwheel_as_released.toml --jobs 2
    aerepr study run plugins/aerepr-decomposition/examples/sparsity.toml --jobs 2
    aerepr study run plugins/aerepr-decomposition/examples/structured_priors.toml --jobs 2
    python benchmarks/decomposition.py --out DIR                a minute; of the studies that are there

- **Pinwheel.** The density of the aggregate posterior of test points on a grid of 300 x 300 in [-2, 2]^2, alpha down and beta across,
  of the first seed, under the prior: decomposition-pinwheel.png, and -released.png of the released KL. All on one scale, whose darkest
  colour is the prior's peak. And for each cell the clusters in use, over the seeds.
- **Sparsity.** Hoyer's measure against alpha, each seed a point and lines through the means: decomposition-sparsity.png.
- **Priors.** Disentanglement against distortion, likewise, a line along beta for each prior: decomposition-priors.png.

Writes decomposition.json and .md into DIR; pictures into --pictures (left out: DIR).
Shape letters: N examples, H height, W width.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from aerepr_decomposition.aggregate import log_aggregate
from PIL import Image, ImageDraw, ImageFont

import aerepr
from aerepr.errors import AereprError
from aerepr.sampling.pictures import INK, PAPER, labelled_rows, save_png, scatter
from aerepr.study.folder import find
from aerepr.study.record import Record, records
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run

ALPHA, BETA = "model.regularizers.aggregate_inclusive_kl.weight", "model.regularizers.kl.weight"
MMD_ALPHA, GAMMA, PRIOR = "model.regularizers.mmd_dimwise.weight", "model.prior.gamma", "prior"

# The plane that is pictured, the points on each side, and how many of them make a pixel of the picture of all.
REACH, SIDE, REDUCED = 2.0, 300, 2

# From no density to the prior's peak.
COLOURS = np.array([(255, 255, 255), (86, 180, 233), (0, 114, 178), (15, 20, 60)]) / 255

PINWHEEL = (
    "clusters_used.fraction",
    "clusters_used.inside",
    "clusters_used.least",
    "prior_match_mmd.score",
    "prior_match_mmd.joint",
    "mutual_information.score",
    "encoder_entropy.mean",
    "iwae_log_likelihood.score",
)
SPARSITY = (
    "hoyer_sparsity.score",
    "hoyer_sparsity.active",
    "hoyer_sparsity.inactive",
    "prior_match_mmd.score",
    "reconstruction.mse",
)
PRIORS = (
    "kim_mnih_2018.score",
    "kim_mnih_2018.score@raw",
    "factor_vae.score",
    "mig.score",
    "reconstruction.bce",
    "active_units.count",
)


def number(record: Record, key: str) -> float | None:
    """A number of the study, whatever protocol its key names, but for one asked for by its protocol."""
    if key in record.metrics:
        return record.metrics[key]
    return next((value for name, value in record.metrics.items() if name.partition("@")[0] == key), None)


def cells(done: Sequence[Record], axes: Sequence[str], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Numbers by levels of the axes, one of each for every seed that is done."""
    found: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for record in done:
        values = found.setdefault(tuple(record.levels[axis] for axis in axes), {key: [] for key in keys})
        for key in keys:
            if (value := number(record, key)) is not None:
                values[key].append(value)
    return [{"levels": list(levels), "numbers": numbers} for levels, numbers in found.items()]


def spread(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.{digits}f} ± {stdev(values):.{digits}f}" if len(values) > 1 else f"{values[0]:.{digits}f}"


def table(found: Iterable[Mapping[str, Any]], names: Sequence[str], keys: Sequence[str]) -> str:
    lines = [f"| {' | '.join([*names, *keys])} | n |", f"|{'---|' * (len(names) + len(keys) + 1)}"]
    for cell in found:
        count = max(len(values) for values in cell["numbers"].values())
        lines.append(f"| {' | '.join([*cell['levels'], *(spread(cell['numbers'][key]) for key in keys)])} | {count} |")
    return "\n".join(lines) + "\n"


# The pinwheel.


def plane() -> torch.Tensor:
    """Points of the picture, (SIDE^2, 2), line by line from the top."""
    across, down = torch.linspace(-REACH, REACH, SIDE), torch.linspace(REACH, -REACH, SIDE)
    return torch.stack([across.repeat(SIDE), down.repeat_interleave(SIDE)], dim=1)


@torch.no_grad()
def density(run: Run) -> np.ndarray:
    """Of the aggregate posterior of all test points, (SIDE, SIDE)."""
    source = run_source(run.directory, run.view, run.registry, run.data)
    model = run.view.model
    x = model.normalise(source.examples(source.rows("test")))
    return log_aggregate(model.posterior(model.encoder(x)), plane()).exp().view(SIDE, SIDE).numpy()


@torch.no_grad()
def prior_density(run: Run) -> np.ndarray:
    return run.view.model.prior().log_prob(plane()).exp().view(SIDE, SIDE).numpy()


def heat(density_HW: np.ndarray, peak: float) -> np.ndarray:
    """Colours (3, H, W) in [0, 1]: white where there is nothing, the darkest from the peak on."""
    place = np.clip(density_HW / peak, 0, 1) * (len(COLOURS) - 1)
    return np.stack([np.interp(place, np.arange(len(COLOURS)), channel) for channel in COLOURS.T])


def reduced(image_CHW: np.ndarray) -> np.ndarray:
    """Each square of pixels as their mean."""
    channels, height, width = image_CHW.shape
    squares = image_CHW.reshape(channels, height // REDUCED, REDUCED, width // REDUCED, REDUCED)
    return squares.mean(axis=(2, 4))


def headed(pixels: np.ndarray, headers: Sequence[str], width: int, pad: int = 2) -> np.ndarray:
    """The same with a word over each column, which are flush at the right."""
    font = ImageFont.load_default(16)
    left = pixels.shape[1] - len(headers) * (width + pad) - pad
    line = Image.new("RGB", (pixels.shape[1], 26), PAPER)
    pen = ImageDraw.Draw(line)
    for column, header in enumerate(headers):
        pen.text((left + column * (width + pad) + pad + width / 2, 13), header, fill=INK, font=font, anchor="mm")
    return np.concatenate([np.asarray(line), pixels])


def pinwheel(done: Sequence[Record], axes: Mapping[str, Sequence[str]], picture: Path) -> str:
    """The heat maps of the first seed, and the table."""
    first: dict[tuple[str, str], Path] = {}
    for record in done:
        assert record.run is not None
        first.setdefault((record.levels[ALPHA], record.levels[BETA]), record.run)
    prior = prior_density(aerepr.load(next(iter(first.values()))))
    peak, blank = float(prior.max()), np.full((3, SIDE // REDUCED, SIDE // REDUCED), 0.8)
    rows = [("prior", [reduced(heat(prior, peak))])]
    for alpha in axes[ALPHA]:
        line = []
        for beta in axes[BETA]:
            path = first.get((alpha, beta))
            line.append(blank if path is None else reduced(heat(density(aerepr.load(path)), peak)))
        rows.append((f"alpha {alpha}", line))
    pixels = labelled_rows([(label, np.stack(line)) for label, line in rows], scale=1)
    headers = [f"beta {beta}" for beta in axes[BETA]]
    save(picture, headed(pixels, headers, SIDE // REDUCED))
    found = cells(done, (ALPHA, BETA), PINWHEEL)
    lines = [table(found, ("alpha", "beta"), PINWHEEL)]
    weights = {record.hash: (float(record.levels[ALPHA]), float(record.levels[BETA])) for record in done}
    groups = {
        "beta alone": [record for record in done if weights[record.hash][0] == 0],
        "alpha alone": [record for record in done if weights[record.hash][1] == 0 < weights[record.hash][0]],
        "both": [record for record in done if min(weights[record.hash]) > 0],
    }
    for name, group in groups.items():
        used = sum(number(record, "clusters_used.fraction") == 1 for record in group)
        lines += [f"- {name}: all clusters in use in {used} of {len(group)} runs"] if group else []
    return "\n".join(lines) + "\n"


# Plots.


def plot(groups: Mapping[str, Mapping[Any, Sequence[tuple[float, float]]]], across: str, up: str) -> np.ndarray:
    """A point for each run and a line through the means, in one colour for each group.

    Args:
        groups: by name, the points (x, y) of the runs at each place along the line. across, up: what x and y are.
    """
    points = {name: np.array([point for runs in line.values() for point in runs]) for name, line in groups.items()}
    means = {name: np.array([np.mean(runs, axis=0) for runs in line.values()]) for name, line in groups.items()}
    # Colours go by number, in turns of six: empty groups, which leave no mark, bring points and lines to the same.
    empty = ("", np.empty((0, 2)))
    padding = [empty] * (6 - len(groups) % 6)
    pixels = scatter([empty, *points.items(), *padding], [("", line) for line in means.values()])
    return headed(pixels, [f"across: {across}; up: {up}"], pixels.shape[1], pad=0)


def sparsity(done: Sequence[Record], axes: Mapping[str, Sequence[str]], picture: Path) -> str:
    """Hoyer's measure against the place of alpha in the sweep."""
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in done:
        alpha, value = record.levels[MMD_ALPHA], number(record, "hoyer_sparsity.score")
        if value is not None:
            line = groups.setdefault(f"gamma {record.levels[GAMMA]}", {})
            line.setdefault(alpha, []).append((float(axes[MMD_ALPHA].index(alpha)), value))
    save(picture, plot(groups, f"alpha of {', '.join(axes[MMD_ALPHA])}", "hoyer_sparsity.score"))
    return table(cells(done, (GAMMA, MMD_ALPHA), SPARSITY), ("gamma", "alpha"), SPARSITY)


def priors(done: Sequence[Record], axes: Mapping[str, Sequence[str]], picture: Path) -> str:
    """Kim and Mnih's score against the cross entropy of reconstructions."""
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in done:
        distortion, score = number(record, "reconstruction.bce"), number(record, "kim_mnih_2018.score")
        if distortion is not None and score is not None:
            line = groups.setdefault(record.levels[PRIOR], {})
            line.setdefault(record.levels[BETA], []).append((distortion, score))
    save(picture, plot(groups, "reconstruction.bce, nats", "kim_mnih_2018.score"))
    return table(cells(done, (PRIOR, BETA), PRIORS), ("prior", "beta"), PRIORS)


STUDIES = {
    "decomposition-pinwheel": (pinwheel, (ALPHA, BETA), PINWHEEL),
    "decomposition-pinwheel-released": (pinwheel, (ALPHA, BETA), PINWHEEL),
    "decomposition-sparsity": (sparsity, (GAMMA, MMD_ALPHA), SPARSITY),
    "decomposition-priors": (priors, (PRIOR, BETA), PRIORS),
}


def save(path: Path, pixels: np.ndarray) -> None:
    save_png(path, pixels)
    print(f"{path}  {path.stat().st_size:,} bytes")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures; left out: that of the figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    pictures = options.pictures or options.out
    pictures.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {}
    parts = []
    for name, (show, axes, keys) in STUDIES.items():
        try:
            study = records(find(options.runs, name).path)
        except AereprError:
            parts.append(f"## {name}\n\nNot run.\n")
            continue
        done = [record for record in study.records if record.state == "done"]
        absent = [f"{record.levels} is {record.state}" for record in study.records if record.state != "done"]
        shown = show(done, study.axes, pictures / f"{name}.png") if done else "No run is done yet.\n"
        kept[name] = {"absent": absent, "cells": cells(done, axes, keys)}
        parts.append("\n".join([f"## {name}\n", shown, *(f"- left out: {line}" for line in absent)]))
    if not kept:
        raise SystemExit(f"{options.runs}: none of {', '.join(STUDIES)} is here: aerepr study run first")
    text = "\n".join(parts)
    (options.out / "decomposition.json").write_text(json.dumps(kept, indent=1) + "\n")
    (options.out / "decomposition.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
