"""The recipes made small, through the commands: trained, sampled, traversed, evaluated, ranked, exported; and refused input.

Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from aerepr_discrete.metrics.straight_through_gap import StraightThroughGap, StraightThroughGapSpec
from aerepr_discrete.ordered import grid

import aerepr
from aerepr.conformance.run import CHECKS, check_component
from aerepr.errors import SpecError, TrainingError, UsageError
from aerepr.kinds.batch import Batch
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.spec.write import to_toml
from aerepr.study.plan import read_plan
from aerepr.workflows import study as study_workflow
from aerepr.workflows.evaluate import evaluate
from aerepr.workflows.load import Run
from aerepr.workflows.study_results import study_rank
from aerepr.workflows.train import train

POSITIONS = 6
COMPONENTS = [(kind, e.name) for kind in CHECKS for e in Registry().entries(kind) if e.package == "aerepr-discrete"]
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))


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
    count = sum(len(batch) for batch in batches)
    for mode, total in totals.items():
        assert found[f"straight_through_gap.{mode}"] == pytest.approx(total / count, rel=1e-5)
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


def test_a_study_is_ranked_by_the_gap_lowest_first(tmp_path: Path) -> None:
    base = tables("D-VAE")
    spec = {key: value for key, value in base.items() if key != "name"}
    path = tmp_path / "study.toml"
    study = {
        "name": "gaps",
        "spec": spec,
        "axes": {"seed": [0, 1]},
        "evaluate": [{"metrics": ["straight_through_gap", "reconstruction"], "split": "test"}],
    }
    path.write_text(to_toml(study), encoding="utf-8")
    study_workflow.run(path, runs=tmp_path)
    found = study_rank("gaps", by="straight_through_gap", against=["reconstruction.bce"], ascending=True, runs=tmp_path)
    (group,) = found.groups
    gaps = [record.metrics["straight_through_gap.score"] for record in group.records]
    assert len(gaps) == 2
    assert gaps == sorted(gaps)


# Bad input.


def test_logits_that_are_not_finite_stop_training_with_step_and_term(tmp_path: Path) -> None:
    spec = small("D-VAE", optimizer={"name": "sgd", "lr": 1e30})
    with pytest.raises(TrainingError, match=r"step [1-5]: (distortion|kl) is not finite"):
        train(spec, run=tmp_path / "run")


def test_a_mass_is_not_held_against_a_density(tmp_path: Path) -> None:
    changed = tables("D-VAE")
    changed["model"]["prior"] = {"name": "standard_normal"}
    with pytest.raises(SpecError, match="the posterior has a mass and the prior a density"):
        train(spec_from_tables(changed), run=tmp_path / "run")


# What ships beside the package.


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_study_files_are_valid(path: Path) -> None:
    assert len(read_plan(path).runs) >= 6
