"""What the reproduction on rooms shows beyond its table: the paper's claims, seed by seed, and pictures side by side.

    aerepr train examples/rooms_judge.toml                     the judge of the Frechet distances
    aerepr study run examples/studies/rooms.toml --jobs 2      about three hours on two cores, together with the judge
    python benchmarks/reproduction.py --out DIR                some minutes

Of every run of the study that is done:

- **Order.** Where along the variables each factor is. With R the importance of each variable for each factor, by LightGBM's trees as in
  `dci_lgbm` (dimensions of a variable summed), the position of factor j is sum_i i R_ij / sum_i R_ij, scaled so that the first
  variable, the deepest in a structural decoder, is at 0 and the last at 1. The claim is that shape, orientation and scale come
  first and hues last, so that the mean position of the hues less that of the others is positive. Models whose decoders treat
  all variables alike (AE, VAE, AdaAE) are the control: whatever order theirs have is chance.
- **Effect.** How much the picture changes, 1000 times the mean squared difference, when one variable is taken from another test image.
- **Samplers.** The study's Frechet distances: does hybrid sampling beat the prior that a VAE was trained towards, and samples of a
  Gaussian fitted to the codes, seed by seed? And in how many pairs of runs are SAE's hybrid samples nearer than AE's and AdaAE's?
- **Gap.** `hybrid_gap.ratio_decoded`, the error of encoding hybrid samples again over that of reconstructions.
- **Reconstruction.** Cross entropy: do SAE and AdaAE come before all others, seed by seed?
- **DCI.** In how many pairs of runs SAE's is above AE's and AdaAE's: nine pairs each, with three seeds.
- **The judge.** How well the encoder of the Frechet distances does itself: its own reconstruction, and how well each factor can be read
  from its codes by a linear classifier (`explicitness`). What cannot be read there, the distances cannot see.

Writes DIR/reproduction.json and .md, and into --pictures (left out: DIR) reproduction-samples.png, of each recipe test images,
reconstructions, and hybrid, prior and Gaussian-fitted samples, and reproduction-<recipe>.png, a quarter of the latent redrawn in
each of four rows and then each dimension swept. Pictures are of the first seed that is done.
Shape letters: N rows, D latent dimensions, V variables, K factors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from family_pictures import Rows, channels_first, rows_of

import aerepr
from aerepr.errors import AereprError
from aerepr.evaluation.asked import placed
from aerepr.metrics import dci_lgbm, explicitness
from aerepr.registry.registry import Registry
from aerepr.sampling.pictures import labelled_rows, save_png
from aerepr.study.folder import StudyFolder, find
from aerepr.study.record import Record, records
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run

# Test images that trees are fitted on and scored with (two thirds, one third), and those a variable's effect is averaged over.
ROWS, EFFECT_ROWS = 6000, 512

HUES = ("floor_hue", "wall_hue", "object_hue")
GEOMETRY = ("scale", "shape", "orientation")

# Rows of the picture of samples: how a sampler is called there and in the metrics.
SAMPLERS = {"hybrid": "hybrid_variable", "prior": "prior", "fitted": "gaussian"}

# What is compared by Frechet distance, in the order of the table.
MADE = ("reconstruction", "hybrid_variable", "hybrid_dimension", "prior", "gaussian")

COLUMNS = 12
SCALE = 2
LARGEST = 1_000_000


def order_of(run: Run, rows: int) -> dict[str, Any]:
    """Where each factor is along the variables, and what each variable changes.

    Returns:
        By factor: `position`, and `importance` of each variable for it; `gap`, hues less geometry; `informativeness`, accuracy of
        the trees; `effect`, of each variable.
    """
    images, classes_NK, names = test_rows(run, rows)
    codes_ND = run.encode(images)
    found = dci_lgbm(codes_ND, classes_NK)
    pieces = np.split(np.arange(codes_ND.shape[1]), np.cumsum(run.layout.sizes)[:-1])
    importance_VK = np.stack([found.importance_DK[piece].sum(axis=0) for piece in pieces])
    position = dict(zip(names, positions(importance_VK).tolist(), strict=True))
    hues, geometry = ([position[name] for name in group] for group in (HUES, GEOMETRY))
    return {
        "position": position,
        "importance": dict(zip(names, importance_VK.T.tolist(), strict=True)),
        "gap": fmean(hues) - fmean(geometry),
        "informativeness": found.informativeness_test,
        "effect": effects(run, codes_ND[:EFFECT_ROWS], pieces),
    }


def test_rows(run: Run, rows: int) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """So many test images, channels last; the classes of their factors (N, K), and the factors' names."""
    source = run_source(run.directory, run.view, run.registry, run.data)
    chosen = source.choice("test", rows)
    assert source.dataset.factors is not None
    images = channels_last(source.examples(chosen).cpu().numpy())
    return images, source.dataset.factors.classes[chosen], source.dataset.factors.names


def judge_of(place: StudyFolder, runs: Path) -> Run | None:
    """The run whose encoder measures the study's Frechet distances; None: each run is measured by its own."""
    plan = place.read_plan()
    for item in plan["evaluate"]:
        frechet = {"frechet": item["asked"]["settings"].get("frechet", {})}
        asked = placed(frechet, Path(plan["folder"]), Registry())["frechet"].get("features")
        if asked is not None:
            return aerepr.load(asked, runs)
    return None


def quality(judge: Run, rows: int) -> dict[str, Any]:
    """What a judge can see, on test images: its mean squared error a value, and the explicitness of each factor."""
    images, classes_NK, names = test_rows(judge, rows)
    told = explicitness(judge.encode(images), classes_NK)
    return {
        "run": judge.spec.name,
        "mse": float(np.square(judge.reconstruct(images) - images).mean()),
        "explicitness": dict(zip(names, told.test_K.tolist(), strict=True)),
    }


def positions(importance_VK: np.ndarray) -> np.ndarray:
    """Where each factor is along the variables, from 0, all in the first, to 1, all in the last.

    Returns:
        (K,); 0.5 for a factor that the trees found nothing about.
    """
    total_K = importance_VK.sum(axis=0)
    weighted_K = np.linspace(0, 1, len(importance_VK)) @ importance_VK
    return np.divide(weighted_K, total_K, out=np.full_like(total_K, 0.5), where=total_K > 0)


def effects(run: Run, z_ND: np.ndarray, pieces: Sequence[np.ndarray]) -> list[float]:
    """1000 times the mean squared change when a variable comes from another row."""
    before = run.decode(z_ND)
    other = np.roll(z_ND, 1, axis=0)  # rows are in random order already
    found = []
    for piece in pieces:
        mixed = z_ND.copy()
        mixed[:, piece] = other[:, piece]
        found.append(1000 * float(np.square(run.decode(mixed) - before).mean()))
    return found


def channels_last(images: np.ndarray) -> np.ndarray:
    return np.moveaxis(images, 1, -1)


def number(record: Record, key: str) -> float | None:
    """A number of the study, whatever its evaluation is called and whatever protocol its key names."""
    return next(
        (value for name, value in record.metrics.items() if name.partition("@")[0].rpartition("/")[2] == key), None
    )


def distances(record: Record) -> dict[str, float]:
    """The Frechet distances of one run, by what was made."""
    found = {name: number(record, f"frechet.{name}") for name in MADE}
    return {name: value for name, value in found.items() if value is not None}


def judged(done: Sequence[Record]) -> str:
    """How the Frechet distances came about; what follows the @ of a key sets it apart from the default."""
    for record in done:
        for label, protocol in record.protocols.items():
            if label.rpartition("/")[2] == "frechet":
                keys = (key for key in record.metrics if "frechet.reconstruction" in key)
                return f"{next(keys, 'frechet')}: {protocol}"
    return "not in this study"


def recipe_of(record: Record) -> str:
    return record.levels["model.recipe"]


def measure(done: Sequence[Record], rows: int) -> dict[str, Any]:
    """Everything, by recipe and seed."""
    found: dict[str, Any] = {}
    for record in done:
        assert record.run is not None
        of_recipe = found.setdefault(recipe_of(record), {})
        of_recipe[record.levels["seed"]] = {
            "order": order_of(aerepr.load(record.run), rows),
            "frechet": distances(record),
            "dci": number(record, "dci.disentanglement"),
            "bce": number(record, "reconstruction.bce"),
            "ratio_decoded": number(record, "hybrid_gap.ratio_decoded"),
        }
        print(f"{recipe_of(record)} seed {record.levels['seed']}", flush=True)
    return found


def spread(values: Sequence[float], digits: int = 2) -> str:
    return f"{fmean(values):.{digits}f} ± {stdev(values):.{digits}f}" if len(values) > 1 else f"{values[0]:.{digits}f}"


def claims(found: Mapping[str, Any], protocol: str) -> str:
    """The figures in Markdown; `protocol`: of the Frechet distances."""
    names = (*GEOMETRY, *HUES)
    lines = [
        f"| recipe | {' | '.join(names)} | hues less geometry | of each seed | accuracy |",
        f"|---|{'---|' * (len(names) + 3)}",
    ]
    for recipe, seeds in found.items():
        orders = [seed["order"] for seed in seeds.values()]
        cells = [spread([order["position"][name] for order in orders]) for name in names]
        gaps = [order["gap"] for order in orders]
        each = ", ".join(f"{gap:+.2f}" for gap in gaps)
        accuracy = spread([order["informativeness"] for order in orders])
        lines.append(f"| {recipe} | {' | '.join(cells)} | {spread(gaps)} | {each} | {accuracy} |")
    lines += [
        "",
        "Position of each factor along the variables: 0 the first, 1 the last; 0.5 where there is no order. Accuracy: of the trees "
        "it is read from, on the rows they were not fitted on; where it is low, positions say little.",
        "",
    ]
    count = max(len(seed["order"]["effect"]) for seeds in found.values() for seed in seeds.values())
    lines += [f"| recipe | {' | '.join(f'z{i + 1}' for i in range(count))} |", f"|---|{'---|' * count}"]
    for recipe, seeds in found.items():
        by_variable = zip(*(seed["order"]["effect"] for seed in seeds.values()), strict=True)
        cells = [spread(values, 1) for values in by_variable]
        lines.append(f"| {recipe} | {' | '.join([*cells, *[''] * (count - len(cells))])} |")
    lines += ["", "1000 times the mean squared change of the picture when that variable comes from another image.", ""]
    lines += [
        "| recipe | reconstruction | hybrid | per dimension | prior | fitted | hybrid below prior | hybrid below fitted |",
        f"|{'---|' * 8}",
    ]
    for recipe, seeds in found.items():
        frechet = [seed["frechet"] for seed in seeds.values()]
        cells = []
        for name in MADE:
            values = [one[name] for one in frechet if name in one]
            cells.append(spread(values) if values else "-")
        better = [below(frechet, "hybrid_variable", other) for other in ("prior", "gaussian")]
        lines.append(f"| {recipe} | {' | '.join([*cells, *better])} |")
    lines += ["", f"Squared Fréchet distances, smaller is better. {protocol}.", ""]
    lines += reconstruction(found)
    lines += [
        *pairs(found, "DCI", lambda seed: seed["dci"], above=True),
        *pairs(found, "Fréchet distance of hybrids", lambda seed: seed["frechet"].get("hybrid_variable"), above=False),
        *pairs(found, "`hybrid_gap.ratio_decoded`", lambda seed: seed["ratio_decoded"], above=False),
    ]
    return "\n".join(lines) + "\n"


def below(frechet: Sequence[Mapping[str, float]], one: str, other: str) -> str:
    """In how many seeds one kind of sample is nearer to the data than another."""
    both = [of_seed for of_seed in frechet if {one, other} <= of_seed.keys()]
    return f"{sum(of_seed[one] < of_seed[other] for of_seed in both)} of {len(both)} seeds" if both else "-"


def reconstruction(found: Mapping[str, Any]) -> list[str]:
    """Cross entropy, each recipe's place by it among the runs of a seed, and the gap of hybrid samples."""
    shown = "| recipe | cross entropy | of each seed | place in each seed | `hybrid_gap.ratio_decoded` | of each seed |"
    lines = [shown, f"|{'---|' * 6}"]
    by_seed: dict[str, dict[str, float]] = {}
    for recipe, seeds in found.items():
        for number_, seed in seeds.items():
            if seed["bce"] is not None:
                by_seed.setdefault(number_, {})[recipe] = seed["bce"]
    ranked = {number_: sorted(of_seed, key=of_seed.__getitem__) for number_, of_seed in by_seed.items()}
    for recipe, seeds in found.items():
        places = [f"{order.index(recipe) + 1} of {len(order)}" for order in ranked.values() if recipe in order]
        cells = [*each(seeds, "bce", 1), ", ".join(places) or "-", *each(seeds, "ratio_decoded", 2)]
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    lines += [
        "",
        "Nats an image of the test split, smaller is better; the gap is 1 where hybrids encode as decoded data does.",
        "",
    ]
    ours = [recipe for recipe in found if recipe.startswith(("SAE", "AdaAE"))]
    whole = [order for order in ranked.values() if len(order) == len(found)]
    if ours and whole and len(ours) < len(found):
        first = sum(set(order[: len(ours)]) == set(ours) for order in whole)
        lines.append(f"- {' and '.join(ours)} reconstruct better than all others in {first} of {len(whole)} seeds")
    return lines


def each(seeds: Mapping[str, Any], key: str, digits: int) -> tuple[str, str]:
    """Mean and deviation of a number, and its value in each seed that has one."""
    values = [seed[key] for seed in seeds.values() if seed[key] is not None]
    return (spread(values, digits), ", ".join(f"{value:.{digits}f}" for value in values)) if values else ("-", "-")


def pairs(found: Mapping[str, Any], what: str, of: Callable[[Any], float | None], above: bool) -> list[str]:
    """In how many pairs of runs a number of SAE is above that of AE and AdaAE, or below it."""
    scores = {
        recipe: [value for seed in seeds.values() if (value := of(seed)) is not None] for recipe, seeds in found.items()
    }
    lines = []
    for ours in (recipe for recipe in scores if recipe.startswith("SAE")):
        for other in (recipe for recipe in scores if recipe.startswith(("AE", "AdaAE"))):
            both = [(a, b) for a in scores[ours] for b in scores[other]]
            if both:
                count = sum(a > b if above else a < b for a, b in both)
                lines.append(
                    f"- {what} of {ours} {'above' if above else 'below'} that of {other} in {count} of {len(both)} pairs of runs: "
                    f"{spread(scores[ours], 3)} against {spread(scores[other], 3)}"
                )
    return lines


def judge_in_words(found: Mapping[str, Any] | None) -> str:
    """The judge's own figures in Markdown."""
    if found is None:
        return "The judge of the Fréchet distances: each run's own encoder.\n"
    told = ", ".join(f"{name} {value:.3f}" for name, value in found["explicitness"].items())
    return (
        f"The judge of the Fréchet distances, {found['run']}: mean squared error {found['mse']:.5f} a value; explicitness of each factor "
        f"in its codes (0.5 is chance, 1 the top): {told}. What cannot be read there, the distances cannot see.\n"
    )


def sample_rows(run: Run, recipe: str) -> Rows:
    """Test images, what the model makes of them, and samples of each sampler it has."""
    real = run.gallery[:COLUMNS]
    shown = [(f"{recipe} real", real), ("reconstructed", run.reconstruct(real))]
    having = run.view.samplers()
    for label, name in SAMPLERS.items():
        if name in having:
            shown.append((label, run.sample(COLUMNS, seed=0, sampler="hybrid" if label == "hybrid" else name)))
    return [(label, channels_first(images)) for label, images in shown]


def save(path: Path, pixels: np.ndarray) -> None:
    save_png(path, pixels)
    size = path.stat().st_size
    if size >= LARGEST:
        raise SystemExit(f"{path}: {size:,} bytes, expected fewer than {LARGEST:,}: lower SCALE or COLUMNS")
    print(f"{path}  {size:,} bytes")


def draw(done: Sequence[Record], pictures: Path, base: int) -> None:
    """The pictures, of the first seed of each recipe."""
    first: dict[str, Path] = {}
    for record in done:
        assert record.run is not None
        first.setdefault(recipe_of(record), record.run)
    together: list[np.ndarray] = []
    for recipe, path in first.items():
        run = aerepr.load(path)
        together.append(labelled_rows(sample_rows(run, recipe), scale=SCALE))
        start, chunks, dimensions = rows_of(path, base)
        save(pictures / f"reproduction-{recipe}.png", labelled_rows([*start, *chunks, *dimensions], scale=SCALE))
    # Recipes have their own labels, of their own widths: images end flush at the right.
    width = max(pixels.shape[1] for pixels in together)
    padded = [
        np.pad(pixels, ((0, 12), (width - pixels.shape[1], 0), (0, 0)), constant_values=255) for pixels in together
    ]
    save(pictures / "reproduction-samples.png", np.concatenate(padded))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--study", default="rooms", help="a study of recipes and seeds on rooms: folder, name or TOML file"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures; left out: that of the figures")
    parser.add_argument("--rows", type=int, default=ROWS, help="test images that trees are fitted on and scored with")
    parser.add_argument("--base", type=int, default=0, help="which test image kept with the runs is traversed from")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    try:
        place = find(options.runs, options.study)
        study, judge = records(place.path), judge_of(place, options.runs)
    except AereprError as cause:
        raise SystemExit(str(cause)) from cause
    done = [record for record in study.records if record.state == "done"]
    if not done:
        raise SystemExit(f"{study.name}: no run is done yet: aerepr study run first")
    figures = measure(done, options.rows)
    absent = [f"{record.levels} is {record.state}" for record in study.records if record.state != "done"]
    options.out.mkdir(parents=True, exist_ok=True)
    judged_by = quality(judge, options.rows) if judge is not None else None
    kept = {"study": study.name, "absent": absent, "rows": options.rows, "judge": judged_by, "recipes": figures}
    (options.out / "reproduction.json").write_text(json.dumps(kept, indent=1) + "\n")
    text = "\n".join(
        [claims(figures, judged(done)), judge_in_words(judged_by), *(f"- left out: {line}" for line in absent)]
    )
    (options.out / "reproduction.md").write_text(text)
    draw(done, options.pictures or options.out, options.base)
    print(text)


if __name__ == "__main__":
    main()
