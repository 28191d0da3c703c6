"""What the studies of plugins/aerepr-decomposition show beyond their tables: heat maps of aggregate posteriors, and plots.

    aerepr study run plugins/aerepr-decomposition/examples/pinwheel.toml --jobs 2
    aerepr study run plugins/aerepr-decomposition/examples/pinwheel_as_released.toml --jobs 2
    aerepr study run FOLDER/sparsity.toml --jobs 2              FOLDER: a copy of that study beside MNIST's two files
    aerepr study run plugins/aerepr-decomposition/examples/structured_priors.toml --jobs 2
    python benchmarks/decomposition.py --out DIR                a minute; of the studies that are there

- **Pinwheel.** The density of the aggregate posterior of test points, the mean over each of 300 x 300 pixels of [-2, 2]^2, alpha down
  and beta across, of the first seed, under the prior: decomposition-pinwheel.png, and -released.png of the released KL. All on one
  scale, whose darkest colour is the prior's peak. And for each cell the clusters in use.
- **Sparsity.** Hoyer's measure against alpha, each seed a point and lines through the means: decomposition-sparsity.png.
- **Priors.** Disentanglement against distortion, likewise, a line along beta for each prior: decomposition-priors.png.

And a line for each claim of docs/reproduction.md: in how many seeds it holds by the rule that is written there. Runs are compared with
those of their own seed, priors over their seeds; what differs by no more than a floor is a tie, and what has a run missing is missing.

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
from statistics import fmean, stdev, variance
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from standing import standing
from torch.distributions import Independent

import aerepr
from aerepr.sampling.pictures import INK, PAPER, labelled_rows, save_png, scatter
from aerepr.study.record import Record, Study
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run

ALPHA, BETA = "model.regularizers.aggregate_inclusive_kl.weight", "model.regularizers.kl.weight"
MMD_ALPHA, GAMMA, PRIOR = "model.regularizers.mmd_dimwise.weight", "model.prior.gamma", "prior"

# The plane that is pictured, the pixels on each side, and how many of them make one of the picture of all.
REACH, SIDE, REDUCED = 2.0, 300, 2

# What differs by no more decides nothing: of MMD and of Hoyer's measure, and in nats, of estimates from 400 points.
FLOOR, FLOOR_NATS = 0.01, 0.1

# How far the distance from normal codes may move; how much dearer is still little; the alpha of the paper's script.
NEAR, LITTLE, PUBLISHED_ALPHA = 0.03, 0.1, "100.0"

# The beta that is the paper's 1 on images of a quarter of the values; in how many betas a prior has to win where all are judged.
PUBLISHED_BETA, WINS = "0.25", 2

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
    "rate.total",
    "active_units.count",
)
UNDER_PRIORS = (
    "`active_units.count` is of dimensions whose variance is above 0.01, whatever the prior's: one that a prior makes small may be in "
    "use and is not counted. `rate.total`, nats, does not depend on scale; of student-t it is a Monte-Carlo estimate.\n"
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


def settled(outcomes: Sequence[Outcome], wins: int) -> Literal["holds", "does not hold", "missing"]:
    """A claim on several places: it holds with so many wins at least and no loss."""
    if "missing" in outcomes:
        return "missing"
    return "holds" if outcomes.count("holds") >= wins and "fails" not in outcomes else "does not hold"


# The pinwheel.


def plane() -> torch.Tensor:
    """Points of the prior's picture, (SIDE^2, 2), line by line from the top."""
    across, down = torch.linspace(-REACH, REACH, SIDE), torch.linspace(REACH, -REACH, SIDE)
    return torch.stack([across.repeat(SIDE), down.repeat_interleave(SIDE)], dim=1)


@torch.no_grad()
def density(run: Run) -> np.ndarray:
    """Of the aggregate posterior of all test points, (SIDE, SIDE)."""
    source = run_source(run.directory, run.view, run.registry, run.data)
    model = run.view.model
    x = model.normalise(source.examples(source.rows("test")))
    return averaged(model.posterior(model.encoder(x)))


def averaged(posterior: Independent) -> np.ndarray:
    """The mean density in each pixel, (SIDE, SIDE), of N factorised posteriors together: exact, however narrow they are."""
    edges = torch.linspace(-REACH, REACH, SIDE + 1)
    mass_SN2 = posterior.base_dist.cdf(edges[:, None, None]).diff(dim=0)
    mass_HW = torch.einsum("hn,wn->hw", mass_SN2[..., 1].flip(0), mass_SN2[..., 0]) / mass_SN2.shape[1]
    return (mass_HW / (2 * REACH / SIDE) ** 2).numpy()


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
    rows = [("prior", [reduced(heat(prior, peak))] * len(study.axes[BETA]))]
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


def released(meant: Study | None, as_released: Study | None) -> str:
    """A line: whether it is the released KL, which counts the prior twice, that keeps beta alone from all clusters."""
    found = []
    for study in (meant, as_released):
        runs = [] if study is None else study.records
        alone = [run for run in runs if float(run.levels[ALPHA]) == 0 < float(run.levels[BETA])]
        found.append([number(run, "clusters_used.fraction") if run.state == "done" else None for run in alone])
    one, two = (fractions.count(1.0) for fractions in found)
    answer = "no" if not one else "in part" if two else "yes"
    if any(None in fractions or not fractions for fractions in found):
        answer = "missing"
    return (
        f"- at alpha = 0 and beta > 0 all clusters are in use in {one} of {len(found[0])} runs with kl, and in {two} of "
        f"{len(found[1])} with legacy_pinwheel_kl: is it the released KL that keeps beta from it? {answer}"
    )


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
    return headed(pixels, [f"across: {across}; up: {up}; corners of the lines: means"], pixels.shape[1], pad=0)


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

    def excess(gamma: str, alpha: str, seed: str) -> float | None:
        """How far above normal codes of as many active dimensions."""
        found, d = (of(key, gamma, alpha, seed) for key in ("hoyer_sparsity.active", "active_units.count"))
        return None if found is None or d is None else found - yardstick(d)

    def higher(seed: str) -> Outcome:
        return trend([excess(spiked, alpha, seed) for alpha in (alphas[0], PUBLISHED_ALPHA)], FLOOR, 1)

    def stays(seed: str, alpha: str) -> Outcome:
        without, found = (excess(dense, at_alpha, seed) for at_alpha in (alphas[0], alpha))
        if without is None or found is None:
            return "missing"
        return "holds" if abs(found - without) <= NEAR else "fails"

    def cheap(seed: str, alpha: str) -> Outcome:
        without, found = (of("reconstruction.mse", spiked, at_alpha, seed) for at_alpha in (alphas[0], alpha))
        if without is None or found is None:
            return "missing"
        return "holds" if found <= (1 + LITTLE) * without else "fails"

    starts = [value for seed in seeds if (value := excess(dense, alphas[0], seed)) is not None]
    little = f"is at most {LITTLE:.0%} above that at {alphas[0]}"
    return [
        verdict(
            f"hoyer_sparsity.active of gamma = {spiked}, less that of normal codes of as many active dimensions, is higher at "
            f"alpha = {PUBLISHED_ALPHA} than at {alphas[0]}",
            {seed: higher(seed) for seed in seeds},
        ),
        verdict(
            f"that of gamma = {dense}, less the same, is at every alpha > {alphas[0]} within {NEAR} of what it is at {alphas[0]}",
            {seed: both(*(stays(seed, alpha) for alpha in alphas[1:])) for seed in seeds},
        ),
        f"- told, not judged: at alpha = {alphas[0]} that is {spread(starts)} ({len(starts)} of {len(seeds)} seeds)",
        verdict(
            f"reconstruction.mse of gamma = {spiked} at alpha = {PUBLISHED_ALPHA} {little}",
            {seed: cheap(seed, PUBLISHED_ALPHA) for seed in seeds},
        ),
        verdict(
            f"told, not judged: that at alpha = {alphas[-1]} {little}",
            {seed: cheap(seed, alphas[-1]) for seed in seeds},
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
    return f"{table(study, (PRIOR, BETA), ('prior', 'beta'), PRIORS)}\n{UNDER_PRIORS}"


class Place(NamedTuple):
    """Runs of one prior and beta: means over the seeds, the variance of the mean score, and that of the mean distortion."""

    distortion: float
    score: float
    variance: float
    spread: float


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
    count = len(found)
    return Place(fmean(distortions), fmean(scores), variance(scores) / count, variance(distortions) / count)


def beside(line: Sequence[Place], other: Place) -> Outcome:
    """Whether a prior scores above the line through another's means, at its own distortion, by more than 2 standard errors.

    Below by as much, it fails; in between is a tie; out of reach is what the line does not reach as far as. One that is beyond an
    end by no more than 2 standard errors of the distance to it is taken to be at that end.
    """
    line = sorted(line)
    x = other.distortion
    for end, beyond in ((line[0], line[0].distortion - x), (line[-1], x - line[-1].distortion)):
        if 0 < beyond <= 2 * math.sqrt(end.spread + other.spread):
            x = end.distortion
    for low, high in pairwise(line):
        if low.distortion <= x <= high.distortion:
            w = (x - low.distortion) / (high.distortion - low.distortion or 1.0)
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
        # The paper's figure of Student-t priors is at one beta.
        if prior == "student-t":
            word = settled([found[PUBLISHED_BETA]], wins=1)
            lines.append(f"- so the claim on {prior}, {key}, at beta = {PUBLISHED_BETA} alone: {word}")
        else:
            lines.append(f"- so the claim on {prior}, {key}: {settled(list(found.values()), WINS)}")
    return lines


class Part(NamedTuple):
    """What is made of a study: its picture and table, its claims, and the numbers that are kept."""

    show: Callable[[Study, Path], str]
    claims: Callable[[Study], list[str]]
    axes: Sequence[str]
    keys: Sequence[str]


STUDIES = {
    "decomposition-pinwheel": Part(pinwheel, clusters, (ALPHA, BETA), PINWHEEL),
    # Its question is asked of it and the one above: released().
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
    studies = {name: standing(options.runs, name) for name in STUDIES}
    for name, part in STUDIES.items():
        study = studies[name]
        if study is None:
            parts.append(f"## {name}\n\nNot run.\n")
            continue
        absent = [f"{record.levels} is {record.state}" for record in study.records if record.state != "done"]
        shown = part.show(study, pictures / f"{name}.png") if finished(study) else "No run is done yet.\n"
        claims = part.claims(study)
        kept[name] = {"absent": absent, "claims": claims, "cells": cells(study, part.axes, part.keys)}
        parts.append("\n".join([f"## {name}\n", shown, *claims, *(f"- left out: {line}" for line in absent)]) + "\n")
    if not kept:
        raise SystemExit(f"{options.runs}: none of {', '.join(STUDIES)} is here: aerepr study run first")
    kept["released"] = released(studies["decomposition-pinwheel"], studies["decomposition-pinwheel-released"])
    parts.append(f"## Both pinwheels\n\n{kept['released']}\n")
    text = "\n".join(parts)
    (options.out / "decomposition.json").write_text(json.dumps(kept, indent=1) + "\n")
    (options.out / "decomposition.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
