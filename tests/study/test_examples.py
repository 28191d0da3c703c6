"""The studies in examples/studies: each is the runs it says it is, every one of which would train.

Published data sets are stood in for by small files in their layout.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from aerepr.registry.registry import Registry
from aerepr.spec.read import apply_sets
from aerepr.spec.run import RunSpec
from aerepr.study.plan import Plan, read_plan
from aerepr.workflows.assemble import check_spec, open_source
from aerepr.workflows.study import _beginning
from tests.builtin.datasets.published_files import small_files

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "examples" / "studies"

# Levels of each axis; the runs are all combinations.
SIZES = {
    "shapes3d": {"model.recipe": 13, "seed": 5},
    "shapes3d_as_published": {"model": 8, "seed": 5},
    "mpi3d": {"data": 3, "model.recipe": 10, "seed": 3},
    "extrapolation_shape": {"model": 8, "learn": 4, "seed": 1},
    "extrapolation_angle": {"model": 8, "learn": 4, "seed": 1},
    "small": {"model.recipe": 3, "seed": 3},
    "small_as_published": {"model.recipe": 10, "seed": 3},
    "rooms": {"model.recipe": 5, "seed": 3},
    "rooms_extrapolation": {"model.recipe": 3, "seed": 3, "learn": 4},
}

# Many alike, or slow to open.
SLOW = {"shapes3d", "mpi3d", "extrapolation_shape", "extrapolation_angle", "small_as_published"}
CHECKED = [pytest.param(name, marks=pytest.mark.full if name in SLOW else ()) for name in SIZES]


def plan_of(name: str) -> Plan:
    return read_plan(STUDIES / f"{name}.toml")


def test_all_are_known() -> None:
    assert sorted(path.stem for path in STUDIES.glob("*.toml")) == sorted(SIZES)
    names = [plan_of(name).name for name in SIZES]
    specs = [tomllib.loads(path.read_text())["name"] for path in (ROOT / "examples").glob("*.toml")]
    # The runs of one would lie among those of another.
    assert len({*names, *specs}) == len(names) + len(specs)


@pytest.mark.parametrize("name", SIZES)
def test_it_is_the_runs_it_says(name: str) -> None:
    plan = plan_of(name)
    assert {axis: len(levels) for axis, levels in plan.axes.items()} == SIZES[name]
    counts = r" [a-z]* ?x ".join(str(size) for size in SIZES[name].values() if size > 1)
    head = plan.text.partition("\nname = ")[0].replace("\n# ", " ")
    assert re.search(counts, head), f"the comment of {name} does not speak of {counts}"
    assert max(map(len, plan.text.splitlines())) <= 132


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    small_files(folder, rows=400)
    return folder


def one_seed(plan: Plan) -> list[RunSpec]:
    """A spec of each combination of the other axes."""
    first = plan.axes["seed"][0]
    specs = [run.spec for run in plan.runs if run.levels["seed"] == first]
    drawn = specs[0].data.name == "rooms"
    return specs if drawn else [apply_sets(spec, ["data.subset_file=true"]) for spec in specs]


@pytest.mark.parametrize("name", CHECKED)
def test_every_run_passes_check(name: str, stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEREPR_DATA", str(stand_ins))
    plan, registry, sources = plan_of(name), Registry(), {}
    for spec in one_seed(plan):
        if spec.data.name not in sources:
            sources[spec.data.name] = open_source(spec.data, plan.folder, registry)
        report = check_spec(spec, sources[spec.data.name], registry, name)
        assert report.problems == []


def test_table_1_has_the_published_models_at_full_size() -> None:
    specs = {run.levels["model.recipe"]: run.spec for run in plan_of("shapes3d").runs}
    assert {(spec.train.total_steps, spec.train.batch_size, spec.train.optimizer.lr) for spec in specs.values()} == {
        (100_000, 128, 5e-4)
    }
    assert {(spec.data.name, spec.data.rule) for spec in specs.values()} == {("shapes3d", "released")}
    weights = {name: [(item.name, item.weight) for item in spec.model.regularizers] for name, spec in specs.items()}
    assert weights["beta-VAE"] == [("kl", 2.0)]
    assert ("factor_tc", 40.0) in weights["FactorVAE"]
    assert ("total_correlation", 4.0) in weights["beta-TCVAE"]
    assert weights["SAE-12"] == weights["AE"] == weights["AdaAE-12"] == []


def test_as_published_is_the_same_but_for_the_regularizers() -> None:
    legacy = {run.levels["model"]: run.spec for run in plan_of("shapes3d_as_published").runs if run.spec.seed == 0}
    correct = {run.levels["model.recipe"]: run.spec for run in plan_of("shapes3d").runs if run.spec.seed == 0}
    for name, spec in legacy.items():
        assert all(item.name.startswith("legacy_") for item in spec.model.regularizers)
        kept, other = spec.tables(), correct[name].tables()
        for tables in (kept, other):
            for key in ("recipe", "regularizers"):
                tables["model"].pop(key)
            tables.pop("name")
        assert kept == other
    assert [item.asked() for item in plan_of("shapes3d").evaluate] == [
        item.asked() for item in plan_of("shapes3d_as_published").evaluate
    ]


def test_the_small_study_of_the_defects_differs_from_small_in_the_objective_alone() -> None:
    specs = {run.levels["model.recipe"]: run.spec for run in plan_of("small_as_published").runs if run.spec.seed == 0}
    correct = {name: spec for name, spec in specs.items() if not name.endswith("-as-published")}
    assert specs.keys() == correct.keys() | {f"{name}-as-published" for name in correct}
    (small,) = (run.spec for run in plan_of("small").runs if run.levels == {"model.recipe": "VAE", "seed": "0"})
    assert specs["VAE"].tables() | {"name": "small"} == small.tables()
    for name, spec in specs.items():
        legacy = [item.name.startswith("legacy_") for item in spec.model.regularizers]
        assert legacy
        assert set(legacy) == {name.endswith("-as-published")}
        tables, other = spec.tables(), specs[name.removesuffix("-as-published")].tables()
        for table in (tables["model"], other["model"]):
            table.pop("recipe"), table.pop("regularizers")
        assert tables == other


@pytest.mark.parametrize(("name", "factor", "classes"), [("shape", "shape", 4), ("angle", "orientation", 15)])
def test_what_is_held_out_is_never_trained_on_in_the_first_phase(name: str, factor: str, classes: int) -> None:
    plan = plan_of(f"extrapolation_{name}")
    subsets = {item.id: set(item.subset[factor]) for item in plan.evaluate}
    assert subsets["held-out"] | subsets["seen"] == set(range(classes))
    learned = {"neither": [], "encoder": ["encoder"], "decoder": ["decoder"], "both": None}
    for run in plan.runs:
        first, *adapt = run.spec.train.phases
        assert set(first.subset[factor]) == subsets["seen"]
        assert first.steps == 80_000
        arm = run.levels["learn"]
        assert [(item.steps, item.subset, item.learn) for item in adapt] == (
            [] if arm == "neither" else [(20_000, {}, learned[arm])]
        )
        assert run.spec.model.encoder.nonlinearity == run.spec.model.decoder.nonlinearity == "elu"
    weights = {run.levels["model"]: run.spec.model.regularizers for run in plan.runs}
    assert weights["beta-VAE-4"][0].weight == 4.0


def test_the_arms_of_rooms_extrapolation_branch_off_one_that_never_saw_the_sphere() -> None:
    plan = plan_of("rooms_extrapolation")
    subsets = {item.id: item.subset for item in plan.evaluate}
    held, seen = (set(subsets[id_]["shape"]) for id_ in ("held-out", "seen"))
    assert (held, seen) == ({2}, {0, 1, 3})
    # Rows of evaluation and training differ in the shape alone.
    kept = {"scale": [7], "orientation": [7]}
    assert all({**subset, "shape": None} == {**kept, "shape": None} for subset in subsets.values())
    arms = {"neither": None, "encoder": ["encoder"], "decoder": ["decoder"], "both": None}
    for run in plan.runs:
        first, *adapt = run.spec.train.phases
        assert first.subset == {**kept, "shape": sorted(seen)}
        assert run.spec.data.subset == kept
        assert [(item.subset, item.learn) for item in adapt] == [(None, arms[run.levels["learn"]])][: len(adapt)]
        assert len(adapt) == (run.levels["learn"] != "neither")
        beginning = _beginning(plan, run)
        neither = {**run.levels, "learn": "neither"}
        expected = next(other.hash for other in plan.runs if other.levels == neither)
        assert beginning == (None if run.levels == neither else expected)


def test_rooms_judges_every_run_by_another_model() -> None:
    plan = plan_of("rooms")
    judge = tomllib.loads((ROOT / "examples" / "rooms_judge.toml").read_text())
    (asked,) = (item.settings["frechet"] for item in plan.evaluate if "frechet" in (item.metrics or []))
    assert asked == {"features": judge["name"]}
    assert all(run.spec.seed != judge["seed"] for run in plan.runs)
    assert {run.spec.data.size for run in plan.runs} == {judge["data"]["size"]}
    # At the rate at which twelve plain convolutions learn: a judge that stayed on its plateau sees little.
    assert {run.spec.train.optimizer.lr for run in plan.runs} == {judge["train"]["optimizer"]["lr"]}
    # One setting for all recipes, so that they differ in nothing else.
    kept = []
    for run in plan.runs:
        tables = run.spec.tables()
        tables.pop("model"), tables.pop("seed")
        kept.append(tables)
        assert {part.width for part in (run.spec.model.encoder, run.spec.model.decoder)} == {32}
    assert all(tables == kept[0] for tables in kept)


@pytest.mark.parametrize(
    ("name", "section"),
    [("rooms", "## Rooms, on two cores"), ("rooms_extrapolation", "### The sphere, on two cores")],
)
def test_the_reproduction_tells_the_settings_of_the_file(name: str, section: str) -> None:
    page = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
    prose = " ".join(page.partition(f"\n{section}\n")[2].partition("```")[0].split())
    spec = plan_of(name).runs[0].spec
    (lr,) = re.findall(r"Adam (?:from )?([\d.e-]+)", prose)
    assert float(lr) == spec.train.optimizer.lr
    assert f"{spec.train.total_steps:,} steps of {spec.train.batch_size}" in prose
    assert f"{spec.data.size} pixels" in prose
    assert f"width {spec.model.encoder.width}, 12 blocks, {spec.model.latent_dim} latent dimensions" in prose
    row = next(line for line in page.splitlines() if line.startswith("|") and f"/{name}.toml)" in line)
    assert f"{spec.data.size} px, width {spec.model.encoder.width}, {spec.train.total_steps:,}" in row


def test_the_walk_through_shows_the_file_it_runs() -> None:
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    shown = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    assert shown == tomllib.loads((STUDIES / "small.toml").read_text())
    linked = {Path(link).stem for link in re.findall(r"examples/studies/([\w.]+)\)", page)}
    assert linked == set(SIZES)
