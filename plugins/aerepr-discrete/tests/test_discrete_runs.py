"""The recipes made small, through the commands: trained, sampled, traversed, evaluated, ranked, exported; and refused input.

Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from aerepr_discrete.encoders.conv4 import Conv4
from aerepr_discrete.metrics.straight_through_gap import StraightThroughGap, StraightThroughGapSpec
from aerepr_discrete.ordered import grid
from torch import Tensor
from typer.testing import CliRunner

import aerepr
from aerepr.builtin.exporters.web import MissingRuntime, runtime_archive
from aerepr.cli.app import app
from aerepr.cli.main import main
from aerepr.conformance.run import CHECKS, check_component
from aerepr.errors import SpecError, TrainingError, UsageError
from aerepr.evaluation.asked import metric_specs
from aerepr.export.load import load_decoder
from aerepr.kinds.batch import Batch
from aerepr.kinds.step import Step
from aerepr.model.autoencoder import Autoencoder
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.spec.write import to_toml
from aerepr.study.plan import read_plan
from aerepr.study.record import records
from aerepr.workflows import study as study_workflow
from aerepr.workflows.assemble import check_spec, open_source
from aerepr.workflows.evaluate import evaluate
from aerepr.workflows.load import Run
from aerepr.workflows.train import train

POSITIONS = 6
FOLDER = Path(__file__).parents[1]
COMPONENTS = [(kind, e.name) for kind in CHECKS for e in Registry().entries(kind) if e.package == "aerepr-discrete"]
EXAMPLES = sorted((FOLDER / "examples").glob("*.toml"))


def tables(name: str, **changes: Any) -> dict[str, Any]:
    """A spec of a recipe that trains in a second."""
    small = {"width": 4, "hidden": 16}
    model: dict[str, Any] = {"recipe": name, "encoder": small, "decoder": small, "latent_dim": 4}
    if not name.endswith("gaussian"):
        model["posterior"] = {"categories": POSITIONS}
    if name.startswith("Factor"):
        terms = [{"name": "kl"}, {"name": "tc_discriminator", "weight": 30.0, "width": 16, "depth": 2}]
        model["regularizers"] = terms
    data = {"name": "rooms", "size": 16, "gallery": 4, "subset": {"floor_hue": [0], "scale": [7], "orientation": [7]}}
    run = {"steps": 6, "batch_size": 8, "device": "cpu", "log_every": 2, "validate_every": 6, "checkpoint_every": 3}
    return {"name": "discrete", "model": model, "data": data, "train": {**run, **changes}}


def small(name: str, **changes: Any) -> RunSpec:
    return spec_from_tables(tables(name, **changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A small run of a recipe, made when it is first asked for. Read it; write products elsewhere."""
    folder = tmp_path_factory.mktemp("discrete")

    @cache
    def trained(name: str) -> Run:
        return aerepr.load(train(small(name), run=folder / name))

    return trained


def off_grid(values: Any) -> float:
    """The largest distance of a value from the grid; 0 where every one is exactly a grid point."""
    distance = (torch.as_tensor(np.asarray(values)).unsqueeze(-1) - grid(POSITIONS)).abs()
    return float(distance.min(dim=-1).values.max())


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_conforms(kind: str, name: str) -> None:
    results = check_component(kind, name, Registry())
    assert [f"{result.check}: {result.message}" for result in results if not result.passed] == []


@pytest.mark.parametrize("name", ["D-VAE", "D-VAE-gaussian", "FactorDVAE", "FactorDVAE-gaussian"])
def test_recipes_train_sample_and_traverse(name: str, trained: Callable[[str], Run]) -> None:
    run = trained(name)
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    values = [value for record in records for value in record.values() if isinstance(value, float)]
    assert np.isfinite(values).all()
    if not name.endswith("gaussian"):
        scales = [record["schedule/model.posterior.noise_scale"] for record in records if record["kind"] == "train"]
        assert scales == sorted(scales)
        assert 0.5 < scales[0] < scales[-1] < 2.0
    for sampler in ("prior", "hybrid"):
        assert np.isfinite(run.sample(3, sampler=sampler)).all()
    for row in run.traverse("dimensions"):
        assert np.isfinite(row.values).all()


def test_prior_samples_decode_grid_points_and_hybrid_ones_mix_representations(trained: Callable[[str], Run]) -> None:
    view = trained("D-VAE").view
    prior, hybrid = view.samplers()["prior"], view.samplers()["hybrid_dimension"]
    noise = torch.rand(200, prior.noise_dim, generator=torch.Generator().manual_seed(0))
    assert off_grid(prior(noise)) == 0
    z_BD = hybrid(torch.rand(50, hybrid.noise_dim, generator=torch.Generator().manual_seed(0)))
    assert all(torch.isin(z_BD[:, d], view.codes[:, d]).all() for d in range(z_BD.shape[1]))


def test_the_grid_is_traversed_over_its_positions(trained: Callable[[str], Run]) -> None:
    rows = trained("D-VAE").traverse("grid")
    assert [row.label for row in rows] == ["z1", "z2", "z3", "z4"]
    for d, row in enumerate(rows):
        assert np.array_equal(row.z[:, d], grid(POSITIONS).numpy())
        others = np.delete(row.z, d, axis=1)
        assert (others == others[:1]).all()
    few = trained("D-VAE").traverse("grid", steps=3)[1].z[:, 1]
    assert few[0] == -1
    assert few[-1] == 1
    assert off_grid(few) == 0
    with pytest.raises(UsageError, match='"grid" needs a prior on a grid.*"standard_normal"'):
        trained("D-VAE-gaussian").traverse("grid")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_exports_keep_grid_points_exact(trained: Callable[[str], Run], tmp_path: Path) -> None:
    run = trained("D-VAE")
    found = run.export(["torchscript", "onnx", "pt2"], out=tmp_path / "e", parts=["decoder", "sampler", "encoder"])
    assert max(found["max_abs_diff"].values()) <= 1e-5
    view = run.view
    noise = torch.rand(40, 4, generator=torch.Generator().manual_seed(1))
    eager = view.samplers()["prior"](noise)
    onnx = onnxruntime.InferenceSession(tmp_path / "e" / "sampler.onnx", providers=["CPUExecutionProvider"])
    (z_BD,) = onnx.run(None, {onnx.get_inputs()[0].name: noise.numpy()})
    assert np.array_equal(z_BD, eager.numpy())
    module = torch.jit.load(tmp_path / "e" / "decoder.ts")
    assert off_grid(module.draw(40, 3)) == 0
    program = torch.export.load(tmp_path / "e" / "sample.pt2").module()
    _, codes = program(torch.tensor(3), torch.arange(40))
    assert off_grid(codes) == 0
    assert torch.equal(codes, module.draw(40, 3))


@pytest.mark.full
def test_the_page_draws_grid_points(trained: Callable[[str], Run], tmp_path: Path) -> None:
    try:
        runtime_archive()
    except MissingRuntime as cause:
        pytest.skip(str(cause))
    trained("D-VAE").export(["web"], out=tmp_path / "page")
    assert (tmp_path / "page" / "index.html").is_file()
    assert off_grid(load_decoder(tmp_path / "page").draw(40, seed=3)) == 0


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["D-VAE", "D-VAE-gaussian", "FactorDVAE", "FactorDVAE-gaussian"])
def test_every_recipe_is_exported_to_every_format(name: str, trained: Callable[[str], Run], tmp_path: Path) -> None:
    run, formats = aerepr.load(trained(name).path), ["onnx", "torchscript", "pt2"]
    # A decoder that has hardly learned says the same of every code; this one does not.
    with torch.no_grad():
        for parameter in run.view.model.decoder.parameters():
            parameter.mul_(3)
    found = run.export(formats, out=tmp_path / "e", parts=["decoder", "sampler"])
    assert max(found["max_abs_diff"].values()) <= 1e-5
    expected = np.moveaxis(run.sample(3, 1), -1, 1)
    assert np.ptp(expected, axis=0).max() > 1e-3
    for form in formats:
        images = load_decoder(tmp_path / "e", trust=True, format=form).sample(3, 1)
        np.testing.assert_allclose(images, expected, rtol=0, atol=2e-5, err_msg=form)


# The gap.


def test_the_gap_is_the_change_of_the_distortion(trained: Callable[[str], Run]) -> None:
    run = trained("D-VAE")
    found = run.evaluate(["straight_through_gap"], rows=None)
    model = run.view.model
    totals = {"soft": 0.0, "hard": 0.0}
    with torch.no_grad():
        batches = list(run.view.batches("test"))
        for batch in batches:
            logits_BDK = model.encoder(batch.first)
            codes = {"soft": logits_BDK.softmax(-1) @ grid(POSITIONS), "hard": grid(POSITIONS)[logits_BDK.argmax(-1)]}
            for mode, z_BD in codes.items():
                p = model.decoder(z_BD)
                cost = torch.nn.functional.binary_cross_entropy_with_logits(p, batch.first, reduction="sum")
                totals[mode] += float(cost)
    rows = sum(len(batch) for batch in batches)
    for mode, total in totals.items():
        assert found[f"straight_through_gap.{mode}"] == pytest.approx(total / rows, rel=1e-5)
    gap = abs(found["straight_through_gap.hard"] - found["straight_through_gap.soft"])
    assert found["straight_through_gap.score"] == pytest.approx(gap)
    assert gap > 0


def test_sure_logits_have_no_gap(trained: Callable[[str], Run]) -> None:
    view = aerepr.load(trained("D-VAE").path).view
    x = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    view.set_source(lambda split: iter([Batch(x=x, rows=torch.arange(9))]))
    metric = StraightThroughGap(StraightThroughGapSpec(name="straight_through_gap"))
    with torch.no_grad():
        # A decoder that has hardly learned says the same of every code; this one does not.
        for parameter in view.model.decoder.parameters():
            parameter.mul_(3)
        unsure = metric.compute(view)["straight_through_gap.score"]
        for parameter in list(view.model.encoder.parameters())[-2:]:
            parameter.mul_(1e6)
        sure = metric.compute(view)["straight_through_gap.score"]
    assert unsure > 1
    assert sure == pytest.approx(0, abs=1e-4 * unsure)


def test_a_gaussian_model_is_told_which_posteriors_have_a_gap(trained: Callable[[str], Run]) -> None:
    run = trained("D-VAE-gaussian")
    text = 'posterior "gaussian" has sample, represent; those with all of them: .*"ordered_categorical"'
    with pytest.raises(UsageError, match=text):
        evaluate(run.path, names=["straight_through_gap"])
    spec = spec_from_tables({**tables("D-VAE-gaussian"), "evaluation": {"metrics": ["straight_through_gap"]}})
    with pytest.raises(SpecError, match=text):
        train(spec, run=run.path.parent / "never")


@pytest.mark.parametrize(
    "names", [["grid"], pytest.param(["grid", "normal"], marks=pytest.mark.full)], ids=["grids", "both"]
)
def test_a_study_is_ranked_by_the_gap_lowest_first(tmp_path: Path, names: list[str]) -> None:
    asked = ["straight_through_gap", "rate", "mig", "modularity", "active_units"]
    base, models = tables("D-VAE"), {"grid": tables("D-VAE")["model"], "normal": tables("D-VAE-gaussian")["model"]}
    spec = {key: value for key, value in base.items() if key not in ("name", "model")}
    path = tmp_path / "study.toml"
    study = {
        "name": "gaps",
        "spec": spec,
        "axes": {"seed": [0, 1], "model": {name: {"model": models[name]} for name in names}},
        "evaluate": [
            {"metrics": [*asked, "reconstruction"], "split": "test"},
            {"id": "again", "metrics": ["straight_through_gap"], "rows": 40, "seed": 1},
        ],
    }
    path.write_text(to_toml(study), encoding="utf-8")
    study_workflow.run(path, runs=tmp_path)
    found = records(tmp_path / "gaps").records
    assert [record.state for record in found] == ["done"] * 2 * len(names)
    for record in found:
        assert record.metrics.keys() >= {"mig.score", "modularity.score", "active_units.count"}
        if record.levels["model"] == "grid":
            assert 0 <= record.metrics["rate.total"] <= 4 * np.log(POSITIONS)
            assert record.metrics["again/straight_through_gap.score"] != record.metrics["straight_through_gap.score"]

    def order(by: str, *more: str) -> list[float]:
        asked = ["study", "rank", "gaps", "--by", by, "--json", "--runs", str(tmp_path), *more]
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 0, done.output
        answer = json.loads(done.stdout)
        (group,) = answer["groups"]
        unranked = [(item["levels"]["model"], "straight_through_gap" in item["reason"]) for item in answer["unranked"]]
        assert unranked == ([("normal", True)] * 2 if by == "straight_through_gap" and "normal" in names else [])
        return [next(iter(run["metrics"].values())) for run in group["runs"]]

    gaps = order("straight_through_gap")
    assert len(set(gaps)) == 2
    assert gaps == sorted(gaps) == order("straight_through_gap", "--ascending")
    assert order("straight_through_gap", "--descending") == gaps[::-1]
    for by, lowest_first in (("reconstruction", True), ("reconstruction.bce", True), ("reconstruction.ssim", False)):
        assert order(by) == sorted(order(by), reverse=not lowest_first)


# Bad input.


def test_logits_that_are_not_numbers_stop_training_with_step_and_term(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, encode, at = Autoencoder.draw, Conv4.forward, [0]

    def watched(self: Autoencoder, step: Step) -> Step:
        at[0] = 0 if step.number.is_meta else int(step.number)
        return draw(self, step)

    def broken(self: Conv4, x_BCHW: Tensor) -> Tensor:
        return encode(self, x_BCHW) * (torch.nan if at[0] >= 3 else 1)

    monkeypatch.setattr(Autoencoder, "draw", watched)
    monkeypatch.setattr(Conv4, "forward", broken)
    with pytest.raises(TrainingError, match=r": step 3: distortion is not finite"):
        train(small("D-VAE"), run=tmp_path / "run")


def test_a_mass_is_not_held_against_a_density(tmp_path: Path) -> None:
    changed = tables("D-VAE")
    changed["model"]["prior"] = {"name": "standard_normal"}
    with pytest.raises(SpecError, match="the posterior has a mass and the prior a density"):
        train(spec_from_tables(changed), run=tmp_path / "run")
    changed = tables("D-VAE-gaussian")
    changed["model"]["prior"] = {"name": "uniform_categorical"}
    with pytest.raises(SpecError, match="the posterior has a mass and the prior a density, or the other way round"):
        train(spec_from_tables(changed), run=tmp_path / "run")


# Other versions.


def test_a_run_made_with_another_version_warns_and_works(
    trained: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained("D-VAE").path, tmp_path / "run")
    env = json.loads((run / "env.json").read_text())
    assert env["packages"]["aerepr-discrete"] == "0.1.0"
    (run / "env.json").write_text(json.dumps({**env, "packages": {**env["packages"], "aerepr-discrete": "0.0.9"}}))
    monkeypatch.setattr(sys, "argv", ["aerepr", "sample", str(run), "-n", "2"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit) as ended:
            main()
    said = capsys.readouterr().err
    assert ended.value.code == 0, said
    assert f"warning: {run}: made with aerepr-discrete 0.0.9, 0.1.0 is installed here" in said
    assert "pip install aerepr-discrete==0.0.9" in said


# What ships beside the package.


SEEDS = ["0", "1", "2", "3", "4"]
SHIPPED = {
    "rooms": ({"grid", "grid-narrow", "normal"}, SEEDS),
    "sprites": ({"grid", "normal"}, SEEDS[:3]),
    "published": ({"grid", "normal"}, SEEDS),
}
# Of the KL: a distortion over a quarter of the values weighs as much against a quarter of it. Steps, batch, pixels.
WEIGHTS = {"rooms": 0.25, "sprites": 0.25, "published": 1.0}
SIZES = {"rooms": (8_000, 64, 32), "sprites": (8_000, 64, 32), "published": (300_000, 64, 64)}


def test_every_study_file_is_pinned() -> None:
    assert {path.stem for path in EXAMPLES} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_studies_hold_the_runs_that_the_claims_are_about(name: str) -> None:
    plan = read_plan(FOLDER / "examples" / f"{name}.toml")
    levels, seeds = SHIPPED[name]
    found = [(run.levels["model"], run.levels["seed"]) for run in plan.runs]
    assert sorted(found) == sorted((level, seed) for level in levels for seed in seeds)
    firsts = {run.levels["model"]: run.spec for run in plan.runs if run.levels["seed"] == "0"}
    registry = Registry()
    for level, spec in firsts.items():
        scales = [item for item in spec.train.schedules if item.target == "model.posterior.noise_scale"]
        # Schedules replace the recipe's: a study that gives others must repeat this one.
        assert [(item.from_, item.to) for item in scales] == ([] if level == "normal" else [(0.5, 2.0)])
        assert [(item.name, item.weight) for item in spec.model.regularizers] == [("kl", WEIGHTS[name])]
        assert (spec.train.steps, spec.train.batch_size, spec.data.size) == SIZES[name]
        assert (spec.model.encoder.width, spec.model.decoder.width) == (
            (16, 16) if level == "grid-narrow" else (32, 32)
        )
        rates = [(s.kind, s.from_, s.to) for s in spec.train.schedules if s.target == "train.optimizer.lr"]
        assert rates == ([] if name == "published" else [("cosine", 5e-4, 1e-5)])
        assert spec.train.optimizer.lr == (1e-4 if name == "published" else 5e-4)
    twins = [firsts[level].model_dump(exclude={"name"}) for level in ("grid", "normal")]
    for twin in twins:
        for key in ("recipe", "posterior", "prior"):
            del twin["model"][key]
        twin["train"]["schedules"] = [s for s in twin["train"]["schedules"] if "noise_scale" not in s["target"]]
    assert twins[0] == twins[1]
    assert [item.id for item in plan.evaluate] == ([None, "again"] if name == "rooms" else [None])
    for item in plan.evaluate:
        assert (item.split, item.rows) == ("test", 15_000)
        asked = metric_specs(registry, [], item.metrics, item.settings, item.seed)
        if item.id is None:
            assert {"straight_through_gap", "rate", "mig", "dci", "reconstruction"} <= set(asked)
        for metric in asked:
            lacking = {
                level
                for level, spec in firsts.items()
                if not set(registry.load("metric", metric).modes)
                <= set(registry.load("posterior", spec.model.posterior.name).modes)
            }
            assert lacking == ({"normal"} if metric == "straight_through_gap" else set())


@pytest.mark.parametrize("name", SHIPPED)
def test_one_run_of_each_level_passes_check(name: str) -> None:
    registry, plan = Registry(), read_plan(FOLDER / "examples" / f"{name}.toml")
    source = open_source(plan.runs[0].spec.data, plan.folder, registry)
    for run in {run.levels["model"]: run for run in plan.runs}.values():
        assert check_spec(run.spec, source, registry, run.label).problems == []
