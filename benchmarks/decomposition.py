"""What the studies of plugins/aerepr-decomposition show beyond their tables: heat maps of aggregate posteriors, and plots.

    aerepr study run plugins/aerepr-decomposition/examples/pinwheel.toml --jobs 2
    aerepr study run plugins/aerepr-decomposition/examples/pinwheel_as_released.toml --jobs 2
    aerepr study run FOLDER/sparsity.toml --jobs 2              FOLDER: a copy of that study beside MNIST's two files
    aerepr study run plugins/aerepr-decomposition/examples/structured_priors.toml --jobs 2
    python benchmarks/decomposition.py --out DIR                a minute; of the studies that are there

- **Pinwheel.** The density of the aggregate posterior of test points on a grid of 300 x 300 in [-2, 2]^2, alpha down and beta across,
  of the first seed, under the prior: decomposition-pinwheel.png, and -released.png of the released KL. All on one scale, whose darkest
  colour is the prior's peak. A posterior much narrower than the grid falls between its points. And for each cell the clusters in use.
- **Sparsity.** Hoyer's measure against alpha, each seed a point and lines through the means: decomposition-sparsity.png.
- **Priors.** Disentanglement against distortion, likewise, a line along beta for each prior: decomposition-priors.png.

And a line for each claim of docs/reproduction.md: in how many seeds it holds by the rule that is written there. Runs are compared with
those of their own seed; what differs by no more than a floor is a tie, and what has a run missing is missing.

Writes decomposition.json (each number under its seed) and .md into DIR; pictures into --pictures (left out: DIR).
Shape letters: N examples, H height, W width.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from aerepr_decomposition.aggregate import log_aggregate
from PIL import Image, ImageDraw, ImageFont

import aerepr
from aerepr.errors import AereprError
from aerepr.sampling.pictures import INK, PAPER, labelled_rows, save_png, scatter
from aerepr.study.folder import find
from aerepr.study.record import Record, Study, records
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run

ALPHA, BETA = "model.regularizers.aggregate_inclusive_kl.weight", "model.regularizers.kl.weight"
MMD_ALPHA, GAMMA, PRIOR = "model.regularizers.mmd_dimwise.weight", "model.prior.gamma", "prior"

# The plane that is pictured, the points on each side, and how many of them make a pixel of the picture of all.
REACH, SIDE, REDUCED = 2.0, 300, 2

# What differs by no more decides nothing: of MMD and of Hoyer's measure, and in nats, of estimates from 400 points.
FLOOR, FLOOR_NATS = 0.01, 0.1

# How far from the yardstick of normal codes is still there; how much dearer is still little; the alpha of the paper's script.
NEAR, LITTLE, PUBLISHED_ALPHA = 0.03, 0.1, "100.0"

Outcome = Literal["holds", "fails", "tie", "out of reach", "missing"]

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
    "hoyer_sparsity.active",
    "hoyer_sparsity.score",
    "active_units.count",
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


def at(study: Study, key: str, levels: Mapping[str, str]) -> float | None:
    """A number of the run at these levels; None if it is not done, or has no such number."""
    found = next((record for record in study.records if record.levels.items() >= levels.items()), None)
    return None if found is None or found.state != "done" else number(found, key)


def finished(study: Study) -> list[Record]:
    return [record for record in study.records if record.state == "done"]


def cells(study: Study, axes: Sequence[str], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Numbers by levels of the axes, each under the seed of its run."""
    found: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
    for record in finished(study):
        values = found.setdefault(tuple(record.levels[axis] for axis in axes), {key: {} for key in keys})
        for key in keys:
            if (value := number(record, key)) is not None:
                values[key][record.levels["seed"]] = value
    return [{"levels": list(levels), "numbers": numbers} for levels, numbers in found.items()]


def spread(values: Collection[float], digits: int = 3) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def table(study: Study, axes: Sequence[str], names: Sequence[str], keys: Sequence[str]) -> str:
    lines = [f"| {' | '.join([*names, *keys])} | n |", f"|{'---|' * (len(names) + len(keys) + 1)}"]
    for cell in cells(study, axes, keys):
        count = max(len(values) for values in cell["numbers"].values())
        numbers = (spread(cell["numbers"][key].values()) for key in keys)
        lines.append(f"| {' | '.join([*cell['levels'], *numbers])} | {count} |")
    return "\n".join(lines) + "\n"


# Claims.


def verdict(claim: str, found: Mapping[str, Outcome], of: str = "seed") -> str:
    """A line: in how many places a claim holds, and of those where it does not, which."""
    line = f"- {claim}: holds in {sum(outcome == 'holds' for outcome in found.values())} of {len(found)} {of}s"
    for word in ("fails", "tie", "out of reach", "missing"):
        if places := [place for place, outcome in found.items() if outcome == word]:
            line += f"; {word}: {of} {', '.join(places)}"
    return line


def trend(values: Sequence[float | None], floor: float, sign: Literal[1, -1]) -> Outcome:
    """Whether numbers rise (1) or fall (-1): from end to end by more than the floor, and nowhere back by more than that."""
    known = [sign * value for value in values if value is not None]
    if len(known) < len(values):
        return "missing"
    if min(after - before for before, after in pairwise(known)) < -floor or known[-1] - known[0] < -floor:
        return "fails"
    return "holds" if known[-1] - known[0] > floor else "tie"


def both(*outcomes: Outcome) -> Outcome:
    """Of parts that must all hold: the first of these words that one of them has."""
    order: tuple[Outcome, ...] = ("missing", "fails", "tie", "holds")
    return min(outcomes, key=order.index)


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


def headed(pixels: np.ndarray, headers: Sequence[str], width: int, pad: int = 2, corner: str = "") -> np.ndarray:
    """The same with a word over each column, which are flush at the right, and one over what is left of them."""
    font = ImageFont.load_default(16)
    left = pixels.shape[1] - len(headers) * (width + pad) - pad
    line = Image.new("RGB", (pixels.shape[1], 26), PAPER)
    pen = ImageDraw.Draw(line)
    pen.text((4, 13), corner, fill=INK, font=font, anchor="lm")
    for column, header in enumerate(headers):
        pen.text((left + column * (width + pad) + pad + width / 2, 13), header, fill=INK, font=font, anchor="mm")
    return np.concatenate([np.asarray(line), pixels])


def pinwheel(study: Study, picture: Path) -> str:
    """The heat maps of one seed, the table, and how many runs have all clusters in use."""
    done = finished(study)
    # The first seed of which there is a run: all cells are of it.
    seed = next(seed for seed in study.axes["seed"] if any(record.levels["seed"] == seed for record in done))
    shown = {
        (record.levels[ALPHA], record.levels[BETA]): record.run
        for record in done
        if record.levels["seed"] == seed and record.run is not None
    }
    prior = prior_density(aerepr.load(next(iter(shown.values()))))
    peak, blank = float(prior.max()), np.full((3, SIDE // REDUCED, SIDE // REDUCED), 0.8)
    rows = [("prior", [reduced(heat(prior, peak))])]
    for alpha in study.axes[ALPHA]:
        line = []
        for beta in study.axes[BETA]:
            path = shown.get((alpha, beta))
            line.append(blank if path is None else reduced(heat(density(aerepr.load(path)), peak)))
        rows.append((f"alpha {alpha}", line))
    pixels = labelled_rows([(label, np.stack(line)) for label, line in rows], scale=1)
    headers = [f"beta {beta}" for beta in study.axes[BETA]]
    save(picture, headed(pixels, headers, SIDE // REDUCED, corner=f"seed {seed}"))
    lines = [table(study, (ALPHA, BETA), ("alpha", "beta"), PINWHEEL)]
    groups: dict[str, Callable[[float, float], bool]] = {
        "alpha = 0, beta > 0": lambda alpha, beta: alpha == 0 < beta,
        "alpha = 0, beta = 0": lambda alpha, beta: alpha == 0 == beta,
        "alpha > 0, beta = 0": lambda alpha, beta: beta == 0 < alpha,
        "alpha > 0, beta > 0": lambda alpha, beta: min(alpha, beta) > 0,
    }
    for name, belongs in groups.items():
        group = [record for record in study.records if belongs(float(record.levels[ALPHA]), float(record.levels[BETA]))]
        fractions = [at(study, "clusters_used.fraction", record.levels) for record in group]
        if group:
            missing = f", {fractions.count(None)} missing" if None in fractions else ""
            lines.append(f"- {name}: all clusters in use in {fractions.count(1.0)} of {len(group)} runs{missing}")
    return "\n".join(lines) + "\n"


def clusters(study: Study) -> list[str]:
    """The claims on the pinwheel with the KL as meant."""
    alphas, betas, seeds = (sorted(study.axes[axis], key=float) for axis in (ALPHA, BETA, "seed"))

    def along_alpha(key: str, seed: str) -> list[float | None]:
        return [at(study, key, {ALPHA: alpha, BETA: betas[0], "seed": seed}) for alpha in alphas]

    def along_beta(key: str, seed: str) -> list[float | None]:
        return [at(study, key, {ALPHA: alphas[0], BETA: beta, "seed": seed}) for beta in betas]

    def alpha_alone(seed: str) -> Outcome:
        of_beta, of_alpha = (line("clusters_used.fraction", seed) for line in (along_beta, along_alpha))
        if None in of_beta + of_alpha:
            return "missing"
        return "holds" if 1.0 not in of_beta and 1.0 in of_alpha[1:] else "fails"

    return [
        verdict("alpha gives all clusters, and no beta does at alpha = 0", {seed: alpha_alone(seed) for seed in seeds}),
        verdict(
            "prior_match_mmd.joint falls with alpha at beta = 0",
            {seed: trend(along_alpha("prior_match_mmd.joint", seed), FLOOR, -1) for seed in seeds},
        ),
        verdict(
            "encoder_entropy.mean rises and mutual_information.score falls with beta at alpha = 0",
            {
                seed: both(
                    trend(along_beta("encoder_entropy.mean", seed), FLOOR_NATS, 1),
                    trend(along_beta("mutual_information.score", seed), FLOOR_NATS, -1),
                )
                for seed in seeds
            },
        ),
    ]


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


def sparsity(study: Study, picture: Path) -> str:
    """Hoyer's measure of the active dimensions against the place of alpha in the sweep."""
    alphas = study.axes[MMD_ALPHA]
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in finished(study):
        alpha, value = record.levels[MMD_ALPHA], number(record, "hoyer_sparsity.active")
        if value is not None:
            line = groups.setdefault(f"gamma {record.levels[GAMMA]}", {})
            line.setdefault(alpha, []).append((float(alphas.index(alpha)), value))
    save(picture, plot(groups, f"alpha of {', '.join(alphas)}", "hoyer_sparsity.active"))
    return table(study, (GAMMA, MMD_ALPHA), ("gamma", "alpha"), SPARSITY)


def yardstick(d: float) -> float:
    """Hoyer's measure of codes of N(0, I) in d dimensions: their direction does not depend on their length."""
    length = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return (math.sqrt(d) - d * math.sqrt(2 / math.pi) / length) / (math.sqrt(d) - 1)


def sparse(study: Study) -> list[str]:
    """The claims on sparsity."""
    alphas, seeds = sorted(study.axes[MMD_ALPHA], key=float), study.axes["seed"]
    dense, spiked = sorted(study.axes[GAMMA], key=float)

    def of(key: str, gamma: str, alpha: str, seed: str) -> float | None:
        return at(study, key, {GAMMA: gamma, MMD_ALPHA: alpha, "seed": seed})

    def higher(seed: str) -> Outcome:
        return trend([of("hoyer_sparsity.active", spiked, a, seed) for a in (alphas[0], PUBLISHED_ALPHA)], FLOOR, 1)

    def stays(seed: str, alpha: str) -> Outcome:
        found, d = (of(key, dense, alpha, seed) for key in ("hoyer_sparsity.active", "active_units.count"))
        if found is None or d is None:
            return "missing"
        return "holds" if abs(found - yardstick(d)) <= NEAR else "fails"

    def cheap(seed: str) -> Outcome:
        without, most = (of("reconstruction.mse", spiked, alpha, seed) for alpha in (alphas[0], alphas[-1]))
        if without is None or most is None:
            return "missing"
        return "holds" if most <= (1 + LITTLE) * without else "fails"

    return [
        verdict(
            f"hoyer_sparsity.active of gamma = {spiked} is higher at alpha = {PUBLISHED_ALPHA} than at {alphas[0]}",
            {seed: higher(seed) for seed in seeds},
        ),
        verdict(
            f"that of gamma = {dense} is within {NEAR} of normal codes of as many active dimensions, at every alpha",
            {seed: both(*(stays(seed, alpha) for alpha in alphas)) for seed in seeds},
        ),
        verdict(
            f"reconstruction.mse of gamma = {spiked} at alpha = {alphas[-1]} is at most {LITTLE:.0%} above that at {alphas[0]}",
            {seed: cheap(seed) for seed in seeds},
        ),
    ]


def priors(study: Study, picture: Path) -> str:
    """Kim and Mnih's score against the cross entropy of reconstructions, both of the code without noise."""
    groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for record in finished(study):
        distortion, score = number(record, "reconstruction.bce"), number(record, "kim_mnih_2018.score")
        if distortion is not None and score is not None:
            line = groups.setdefault(record.levels[PRIOR], {})
            line.setdefault(record.levels[BETA], []).append((distortion, score))
    save(picture, plot(groups, "reconstruction.bce, nats", "kim_mnih_2018.score"))
    return table(study, (PRIOR, BETA), ("prior", "beta"), PRIORS)


class Place(NamedTuple):
    """Runs of one prior and beta: means over the seeds, and the variance of the mean score."""

    distortion: float
    score: float
    variance: float


def place(study: Study, prior: str, beta: str, raw: bool) -> Place | None:
    """None if a seed is missing. raw: not on the scale that the prior has for metrics, where it has one."""
    found: list[tuple[float, float]] = []
    for seed in study.axes["seed"]:
        levels = {PRIOR: prior, BETA: beta, "seed": seed}
        score = at(study, "kim_mnih_2018.score", levels)
        if raw and (of_raw := at(study, "kim_mnih_2018.score@raw", levels)) is not None:
            score = of_raw
        distortion = at(study, "reconstruction.bce", levels)
        if score is None or distortion is None:
            return None
        found.append((distortion, score))
    distortions, scores = zip(*found, strict=True)
    return Place(fmean(distortions), fmean(scores), stdev(scores) ** 2 / len(scores))


def beside(line: Sequence[Place], other: Place) -> Outcome:
    """Whether a prior scores above the line through another's means, at its own distortion, by more than 2 standard errors.

    Below by as much, it fails; in between is a tie; out of reach is what the line does not reach as far as.
    """
    for low, high in pairwise(sorted(line)):
        if low.distortion <= other.distortion <= high.distortion:
            w = (other.distortion - low.distortion) / (high.distortion - low.distortion or 1.0)
            gap = other.score - ((1 - w) * low.score + w * high.score)
            error = math.sqrt(other.variance + (1 - w) ** 2 * low.variance + w**2 * high.variance)
            return "holds" if gap > 2 * error else "fails" if gap < -2 * error else "tie"
    return "out of reach"


def structured(study: Study) -> list[str]:
    """Each prior beside the isotropic one at equal distortion, beta by beta."""
    betas, lines = study.axes[BETA], []
    for prior, raw in (("pca", False), ("learned", False), ("student-t", False), ("student-t", True)):
        known = [item for beta in betas if (item := place(study, "isotropic", beta, raw)) is not None]
        found: dict[str, Outcome] = {}
        for beta in betas:
            own = place(study, prior, beta, raw)
            found[beta] = "missing" if own is None or len(known) < len(betas) else beside(known, own)
        key = "kim_mnih_2018.score" + "@raw" * raw
        lines.append(verdict(f"{key} of {prior} is above isotropic at equal reconstruction.bce", found, "beta"))
    return lines


class Part(NamedTuple):
    """What is made of a study: its picture and table, its claims, and the numbers that are kept."""

    show: Callable[[Study, Path], str]
    claims: Callable[[Study], list[str]]
    axes: Sequence[str]
    keys: Sequence[str]


STUDIES = {
    "decomposition-pinwheel": Part(pinwheel, clusters, (ALPHA, BETA), PINWHEEL),
    # Held against the one above by the number of its runs with all clusters in use.
    "decomposition-pinwheel-released": Part(pinwheel, lambda study: [], (ALPHA, BETA), PINWHEEL),
    "decomposition-sparsity": Part(sparsity, sparse, (GAMMA, MMD_ALPHA), SPARSITY),
    "decomposition-priors": Part(priors, structured, (PRIOR, BETA), PRIORS),
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
    for name, part in STUDIES.items():
        try:
            study = records(find(options.runs, name).path)
        except AereprError:
            parts.append(f"## {name}\n\nNot run.\n")
            continue
        absent = [f"{record.levels} is {record.state}" for record in study.records if record.state != "done"]
        shown = part.show(study, pictures / f"{name}.png") if finished(study) else "No run is done yet.\n"
        claims = part.claims(study)
        kept[name] = {"absent": absent, "claims": claims, "cells": cells(study, part.axes, part.keys)}
        parts.append("\n".join([f"## {name}\n", shown, *claims, *(f"- left out: {line}" for line in absent)]) + "\n")
    if not kept:
        raise SystemExit(f"{options.runs}: none of {', '.join(STUDIES)} is here: aerepr study run first")
    text = "\n".join(parts)
    (options.out / "decomposition.json").write_text(json.dumps(kept, indent=1) + "\n")
    (options.out / "decomposition.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
