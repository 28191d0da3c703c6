"""Every recipe of the core catalogue, made small: trained, killed and resumed, sampled, traversed, checked, exported.

Widths shrink, and depths as far as the variables allow; variables, latent dimensions, regularizers and samplers are the
recipe's own. A recipe trains once for all of its tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aerepr
from aerepr.conformance.result import Check, run_checks
from aerepr.conformance.run import CHECKS
from aerepr.conformance.world import LoadOnce, Subject
from aerepr.errors import UsageError
from aerepr.export.load import FORMATS, load_decoder
from aerepr.registry.catalogue import core_catalogue
from aerepr.registry.registry import Registry
from aerepr.rundir import checkpoint
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.training.loop import Trainer
from aerepr.workflows.load import Run
from aerepr.workflows.train import train
from tests.environments import absent
from tests.training.conftest import same

REGISTRY = Registry()
RECIPES = [example for recipe in core_catalogue().recipes for example in recipe.examples()]

STEPS, SAVED, KILLED = 6, 3, 5


def small(kind: str, table: dict[str, Any], depth: int) -> dict[str, Any]:
    """A component's table with the fields that make it large made small."""
    fields = REGISTRY.load(kind, table["name"]).Spec.model_fields
    changes: dict[str, Any] = {key: value for key, value in {"width": 8, "depth": depth}.items() if key in fields}
    if table.get("hidden"):
        changes["hidden"] = [8] * len(table["hidden"])
    # Numbers of blocks mean what they mean at the depth they were given for.
    return {**table, **changes, **({"depth": table["depth"]} if "halvings" in table else {})}


def small_model(name: str) -> dict[str, Any]:
    """Table `[model]` of a recipe, made small."""
    recipe, parameters = REGISTRY.recipe(name)
    model = recipe.resolve(parameters)["model"]
    # Every variable has a block of its own, and there are blocks enough to halve the image.
    pieces = model["decoder"].get("variables") or model["decoder"].get("layers") or 1
    depth = pieces * ceil(4 / pieces)
    parts = {kind: small(kind, model[kind], depth) for kind in CHECKS if kind in model}
    terms = [small("regularizer", item, 2) for item in model.get("regularizers", [])]
    return {**model, **parts, "regularizers": terms}


def small_spec(name: str) -> RunSpec:
    """A spec of a recipe that trains in about a second."""
    model = small_model(name)
    # Blocks that are told where to halve the image need one that is large enough.
    size = 64 if "halvings" in model["encoder"] else 16
    return spec_from_tables(
        {
            "name": "recipe",
            "model": {"recipe": name, **model},
            "data": {
                "name": "rooms",
                "size": size,
                "gallery": 4,
                "subset": {"floor_hue": [0], "scale": [7], "orientation": [7]},
            },
            "train": {
                "steps": STEPS,
                "batch_size": 8,
                "device": "cpu",
                "log_every": 2,
                "validate_every": STEPS,
                "checkpoint_every": SAVED,
            },
        },
        registry=REGISTRY,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A small run of a recipe, made when it is first asked for. Read it; write products elsewhere."""
    runs = tmp_path_factory.mktemp("recipes")

    @cache
    def trained(name: str) -> Run:
        return aerepr.load(train(small_spec(name), run=runs / name))

    return trained


@pytest.fixture(params=RECIPES)
def run(request: pytest.FixtureRequest, trained: Callable[[str], Run]) -> Run:
    """A small run of each recipe."""
    return trained(request.param)


def test_trains_and_resumes_to_the_same_bits(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one: Callable[..., None] = Trainer._one

    def killed(self: Trainer, phase: Any) -> None:
        if self.step == KILLED:
            raise KeyboardInterrupt
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", killed)
    with pytest.raises(KeyboardInterrupt):
        train(run.spec, run=tmp_path / "cut")
    monkeypatch.undo()
    cut = RunDirectory(tmp_path / "cut")
    assert checkpoint.pointed(cut, "last") == f"step-{SAVED:08d}"
    train(cut.path, resume=True)
    assert same(run.path, cut.path)
    # Optimizers, those of adversaries among them, are in the checkpoint alone.
    (whole, _), (resumed, _) = (checkpoint.load_last(RunDirectory(path)) for path in (run.path, cut.path))
    for held, found in ((whole.model, resumed.model), (whole.train, resumed.train)):
        assert held.keys() == found.keys()
        assert all(torch.equal(held[key], found[key]) for key in held)


def test_every_term_is_logged_raw_and_weighted_and_finite(run: Run) -> None:
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert {record["kind"] for record in records} == {"train", "valid"}
    assert all(np.isfinite(value) for record in records for value in record.values() if isinstance(value, float))
    trained = [record for record in records if record["kind"] == "train"]
    for item in run.spec.model.regularizers:
        (raw,) = {key for key in trained[0] if key.startswith(f"loss/{item.id}")}
        for record in trained:
            weighted = record[raw.replace("loss/", "weighted/")]
            assert weighted == pytest.approx(item.weight * record[raw], rel=1e-5)


def test_samples_with_every_sampler(run: Run) -> None:
    for sampler in REGISTRY.names("sampler"):
        if not applies(sampler, run):
            with pytest.raises(UsageError, match="not trained towards a prior"):
                run.sample(3, sampler=sampler)
            continue
        images = run.sample(3, sampler=sampler)
        assert images.shape == (3, *run.gallery.shape[1:])
        assert np.isfinite(images).all()


def applies(sampler: str, run: Run) -> bool:
    """Whether a sampler means anything: the prior does not, to codes that were never drawn towards it."""
    return sampler != "prior" or bool(run.spec.model.regularizers)


def test_traverses_with_every_traversal(run: Run) -> None:
    # Those of plugins may need components of their own; they are tested there.
    for traversal in [item.name for item in core_catalogue().components if item.kind == "traversal"]:
        settings = {"chunks": min(4, len(run.layout))} if traversal == "chunks" else {}
        rows = run.traverse(traversal, **settings)
        assert rows
        assert all(np.isfinite(row.values).all() for row in rows)


def exported() -> list[Any]:
    """Recipes to export: always the first with each sort of decoder and sampler, the others on request."""
    seen: list[Any] = []
    marked = []
    for name in RECIPES:
        recipe, parameters = REGISTRY.recipe(name)
        tables = recipe.resolve(parameters)
        decoder = tables["model"]["decoder"]
        sort = (decoder["name"], tables.get("sampler"))
        marked.append(pytest.param(name, marks=[pytest.mark.full] if sort in seen else []))
        seen.append(sort)
    return marked


@pytest.mark.parametrize("name", exported())
def test_exports_once(name: str, trained: Callable[[str], Run], tmp_path: Path) -> None:
    found = trained(name).export("onnx", out=tmp_path / "exports", parts=["decoder", "sampler", "encoder"])
    assert max(found["max_abs_diff"].values()) <= 1e-5
    decoder = aerepr.load_decoder(tmp_path / "exports")
    images = decoder.sample(2, seed=0)
    assert images.shape[0] == 2
    assert decoder.encode(images).shape == (2, decoder.card.latent_dim)


@pytest.mark.full
@pytest.mark.parametrize("name", RECIPES)
def test_exports_to_every_format(name: str, trained: Callable[[str], Run], tmp_path: Path) -> None:
    found = trained(name).export("all", out=tmp_path / "exports")
    assert max(found["max_abs_diff"].values()) <= 1e-5
    assert set(found["skipped"]) <= {"web"}, "only what the page needs may be missing here"
    samples = [load_decoder(tmp_path / "exports", trust=True, format=form).sample(3, 1) for form in FORMATS]
    span = max(float(np.ptp(samples[0])), 1.0)
    for other in samples[1:]:
        np.testing.assert_allclose(other, samples[0], rtol=0, atol=2e-5 * span)
    if found["skipped"]:
        absent(found["skipped"]["web"])
    assert "index.html" in found["files"]


@pytest.mark.full
@pytest.mark.parametrize("sampler", REGISTRY.names("sampler"))
def test_every_sampler_exports_to_every_format(run: Run, sampler: str, tmp_path: Path) -> None:
    """The decoder beside it is the same for all of them."""
    if not applies(sampler, run):
        with pytest.raises(UsageError, match="not trained towards a prior"):
            run.export("all", sampler=sampler, out=tmp_path / "exports")
        return
    found = run.export("all", sampler=sampler, out=tmp_path / "exports", parts="sampler")
    assert set(found["max_abs_diff"]) == {"draw.pt2", "sampler.onnx", "sampler.ts"}
    assert max(found["max_abs_diff"].values()) <= 1e-5
    assert set(found["skipped"]) == {"web"}, "the page needs the decoder as well"


def parts_of_recipes() -> list[Any]:
    """(kind, table) of every part that some recipe names, each once."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in RECIPES:
        model = small_model(name)
        items = [(kind, model[kind]) for kind in CHECKS if kind in model]
        items += [("regularizer", table) for table in model["regularizers"]]
        for kind, table in items:
            found.setdefault(json.dumps([kind, table], sort_keys=True), (kind, table))
    return [
        pytest.param(kind, table, id=f"{kind} {table['name']} {i}") for i, (kind, table) in enumerate(found.values())
    ]


@pytest.mark.parametrize(("kind", "table"), parts_of_recipes())
def test_every_part_of_a_recipe_keeps_its_contract(kind: str, table: dict[str, Any], tmp_path: Path) -> None:
    note = REGISTRY.note(kind, table["name"])
    settings = {key: value for key, value in table.items() if key != "name"}
    subject = Subject(kind, table["name"], LoadOnce(REGISTRY), tmp_path, example=settings, beside=note.beside)
    # Exports are tested on the trained recipe.
    checks: list[Check[Subject]] = [check for check in CHECKS[kind] if check.name != "exports"]
    failed = [result for result in run_checks(kind, table["name"], subject, checks) if result.failed]
    assert not failed
