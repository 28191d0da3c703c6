"""The published networks and settings, what each recipe makes of its data, and the package's catalogues."""

from __future__ import annotations

import importlib
import math
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch
from aerepr_flow.objectives.flow import FlowObjective
from torch import nn

from aerepr.conformance.run import check_component
from aerepr.errors import SpecError
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_system
from aerepr.model.check import check
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.training.schedules import value_at

FOLDER = Path(__file__).parents[1]


def info(size: int, count: int, frames: int) -> DataInfo:
    labels = tuple(f"transformation {k}" for k in range(count))
    return DataInfo(DataShape.image(3, size, size), train_size=1000, labels=labels, frames=frames)


# What the published data are: pixels, K and T + 1.
DATA = {"MNIST": info(28, 3, 9), "Shapes3D": info(64, 5, 8), "Falcor3D": info(128, 7, 5), "Isaac3D": info(128, 8, 4)}
SMALL = info(32, 3, 5)
CATALOGUE = tomllib.loads((FOLDER / "registry.toml").read_text(encoding="utf-8"))
RECIPES = [recipe["name"] for recipe in CATALOGUE["recipes"]]


def data_of(name: str) -> DataInfo:
    return next((data for key, data in DATA.items() if name.startswith(f"Flow-{key}")), SMALL)


def recipe(name: str, **train: object) -> RunSpec:
    return spec_from_tables({"name": "r", "model": {"recipe": name}, "data": {"name": "rooms"}, "train": train})


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "encoder", "decoder"),
    [
        ("Flow-MNIST", 35_711_280, 35_185_431),
        ("Flow-Shapes3D", 80_815_792, 80_559_737),
        ("Flow-Falcor3D", 15_976_116, 16_598_523),
        ("Flow-Isaac3D", 15_976_116, 16_598_523),
    ],
)
def test_networks_have_the_published_numbers_of_parameters(name: str, encoder: int, decoder: int) -> None:
    data = data_of(name)
    with torch.device("meta"):
        system = build_system(recipe(name), data)
    objective = system.objective
    assert isinstance(objective, FlowObjective)
    assert (count(system.model.encoder), count(system.model.decoder)) == (encoder, decoder)
    fields = {"Flow-Shapes3D": 205_435}.get(name, 421_525)
    assert count(objective.flow) == count(objective.force) == len(data.labels) * fields
    assert objective.transformations == data.labels
    assert objective.steps == data.frames - 1


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_passes_check_on_its_data(name: str) -> None:
    assert check(recipe(name), data_of(name)).problems == []


@pytest.mark.parametrize("name", sorted(DATA))
def test_the_network_of_transformations_sees_every_frame(name: str) -> None:
    with torch.device("meta"):
        objective = build_system(recipe(f"Flow-{name}-weak"), DATA[name]).objective
    assert isinstance(objective, FlowObjective)
    assert objective.sequence_encoder is not None
    first = next(module for module in objective.sequence_encoder.modules() if isinstance(module, nn.Conv2d))
    # 27 channels for MNIST and 24 for Shapes3D, as published.
    assert first.in_channels == 3 * DATA[name].frames
    assert (objective.logits.in_features, objective.logits.out_features) == (
        recipe(f"Flow-{name}").model.latent_dim,
        len(DATA[name].labels),
    )


@pytest.mark.parametrize(("name", "steps"), [("MNIST", 90_000), ("Shapes3D", 100_000), ("Isaac3D-weak", 100_000)])
def test_training_is_as_published(name: str, steps: int) -> None:
    spec = recipe(f"Flow-{name}")
    assert (spec.train.total_steps, spec.train.batch_size) == (steps, 128)
    assert (spec.train.optimizer.name, spec.train.optimizer.lr, spec.train.clip_norm) == ("adam", 1e-4, 0.0)


def test_the_temperature_falls_in_steps_of_a_hundred_to_its_floor() -> None:
    (schedule,) = recipe("Flow-MNIST-weak").train.schedules
    assert schedule.target == "model.objective.temperature"
    for step in (0, 99, 100, 12_345, 90_000, 200_000):
        expected = max(0.05, math.exp(-3e-5 * (step // 100 * 100)))
        assert value_at(schedule, step, 90_000) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["Flow-MNIST", "Flow-MNIST-weak", "Flow-Shapes3D", "Flow-Shapes3D-weak"])
def test_the_released_loss_differs_from_ours_in_its_forms_alone(name: str) -> None:
    ours, released = recipe(name), recipe(f"{name}-released")
    assert ours.train == released.train
    forms = {"density": "legacy_row_sum", "divergence": "legacy_softmax", "transport_form": "legacy_batch_mean"}
    if name.endswith("-weak"):
        forms["transformation_form"] = "legacy_label"
    assert {form: getattr(released.model.objective, form) for form in forms} == forms
    assert not {getattr(ours.model.objective, form) for form in forms} & set(forms.values())
    changed = ("density", "divergence", "transport_form", "transformation_form")
    assert ours.model.objective.model_dump(exclude=set(changed)) == released.model.objective.model_dump(
        exclude=set(changed)
    )
    assert (
        released.model.model_copy(update={"objective": ours.model.objective, "recipe": ours.model.recipe}) == ours.model
    )


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize(("name", "factor"), [("conv", 4), ("conv128", 16)])
def test_networks_conform_and_refuse_what_they_do_not_fit(kind: str, name: str, factor: int) -> None:
    name = f"flow_{'de' * (kind == 'decoder')}{name}"
    results = check_component(kind, name, Registry())
    assert [f"{result.check}: {result.message}" for result in results if result.failed] == []
    other = {"encoder": "decoder", "decoder": "encoder"}[kind]
    tables = {
        "name": "r",
        "model": {"recipe": "Flow-small", kind: {"name": name, "width": 4}, other: {"name": "mlp", "width": 4}},
        "data": {"name": "rooms"},
    }
    with pytest.raises(SpecError, match=f"needs a height and width that {factor} divides"):
        build_system(spec_from_tables(tables), info(30, 3, 4))
    vectors = DataInfo(DataShape.vector(5), train_size=10, labels=("a",), frames=3)
    with pytest.raises(SpecError, match="needs images"):
        build_system(spec_from_tables(tables), vectors)


# The package.


def test_catalogues_list_what_the_entry_points_announce() -> None:
    listed = {(item["kind"], item["name"]) for item in CATALOGUE["components"]}
    announced = {
        (point.group.removeprefix("aerepr.").removesuffix("s"), point.name)
        for point in distribution("aerepr-flow").entry_points
        if point.group != "aerepr.recipes"
    }
    assert listed == announced
    core = tomllib.loads((FOLDER.parents[1] / "registry.toml").read_text(encoding="utf-8"))
    (block,) = [item for item in core["plugins"] if item["package"] == "aerepr-flow"]
    assert {(kind, name) for kind, names in block["components"].items() for name in names} == announced


def test_every_setting_that_is_not_the_codes_is_marked() -> None:
    lines = (FOLDER / "registry.toml").read_text(encoding="utf-8").split('name = "Flow-small"')[0].splitlines()
    for key, mark in (('density = "laplacian"', "# recalled"), ('name = "prior"', "# unstated")):
        places = [line for line in lines if line.startswith(key)]
        assert places
        assert all(mark in line for line in places)


def test_the_benchmark_finds_both_ways_equal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(FOLDER.parents[1] / "benchmarks")
    benchmark = importlib.import_module("flow")
    # How fast it is, and how much memory it takes, is no matter at this size.
    monkeypatch.setattr(benchmark, "TARGET_SPEEDUP", 0)
    monkeypatch.setattr(benchmark, "FLAT", 1e9)
    sizes = [
        "--dim",
        "8",
        "--steps",
        "3",
        "--batch",
        "4",
        "--hessian-batch",
        "4",
        "--step-batch",
        "2",
        "--repeats",
        "1",
    ]
    assert benchmark.main(sizes) == 0
    printed = capsys.readouterr().out
    assert all(f"| {rule} | 4 |" in printed for rule in benchmark.RULES)
    monkeypatch.setattr(benchmark, "TOLERANCE", 0)
    assert benchmark.main([*sizes, "--rules", "exact"]) == 1
