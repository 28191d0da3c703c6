"""The studies hold, and what is drawn of them shows their numbers; the runs here are a few steps long."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import aerepr
from aerepr.sampling.pictures import PALETTE
from aerepr.study.plan import Plan, read_plan
from aerepr.study.record import Record, Study
from aerepr.workflows.train import train

PACKAGE = Path(__file__).parents[1]
EXAMPLES = {path.stem: path for path in sorted((PACKAGE / "examples").glob("*.toml"))}
BENCHMARKS = PACKAGE.parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("decomposition")


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: read_plan(path) for name, path in EXAMPLES.items()}


def test_the_studies_are_what_they_say(plans: dict[str, Plan]) -> None:
    assert {name: len(plan.runs) for name, plan in plans.items()} == {
        "pinwheel": 75,
        "pinwheel_as_released": 12,
        "sparsity": 24,
        "structured_priors": 80,
    }
    for plan in plans.values():
        assert len({run.hash for run in plan.runs}) == len(plan.runs)
    pinwheel = plans["pinwheel"].runs[0].spec
    assert (pinwheel.train.steps, pinwheel.train.batch_size) == (500, 400)
    priors = {run.levels["prior"]: run.spec.model.prior.name for run in plans["structured_priors"].runs}
    assert list(priors.values()) == ["standard_normal", "anisotropic_gaussian", "anisotropic_gaussian", "student_t"]
    weights = {run.spec.model.regularizers[0].weight for run in plans["structured_priors"].runs}
    assert weights == {0.25, 0.5, 1.0, 2.0}


def test_the_script_knows_the_axes(plans: dict[str, Plan], script: ModuleType) -> None:
    for plan in plans.values():
        _, axes, _ = script.STUDIES[plan.name]
        assert set(plan.axes) == {*axes, "seed"}


# What is drawn.


def record(levels: dict[str, str], metrics: dict[str, float], run: Path | None = None) -> Record:
    return Record(levels, "-".join(levels.values()), "done", run, "", metrics, {}, {})


@pytest.fixture(scope="module")
def trained(plans: dict[str, Plan], tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Runs of the pinwheel's study at both ends of its axes, with what they were evaluated to."""
    wanted = [("0.0", "1.0", "0"), ("8.0", "0.0", "0"), ("8.0", "0.0", "1")]
    found = []
    for planned in plans["pinwheel"].runs:
        if tuple(planned.levels.values()) in wanted:
            path = tmp_path_factory.mktemp("pinwheel") / "run"
            spec = planned.spec.model_copy(update={"train": planned.spec.train.model_copy(update={"steps": 30})})
            train(spec, run=path)
            metrics = aerepr.load(path).evaluate(["clusters_used", "prior_match_mmd"], rows=None)
            found.append(record(planned.levels, metrics, path))
    return found


def test_heat_maps_are_densities_on_one_scale(trained: list[Record], script: ModuleType) -> None:
    run = aerepr.load(trained[0].run)
    found, prior = script.density(run), script.prior_density(run)
    assert found.shape == prior.shape == (300, 300)
    cell = (2 * script.REACH / (script.SIDE - 1)) ** 2
    assert prior.sum() * cell == pytest.approx(1, abs=0.01)
    assert 0.5 < found.sum() * cell < 1.01
    # Read line by line from the top left.
    assert script.plane()[[0, 299, -1]].tolist() == [[-2, 2], [2, 2], [2, -2]]
    assert prior[75, 150] == pytest.approx(prior.max(), rel=0.02)
    colours = script.heat(prior, float(prior.max()))
    assert colours[:, 0, 0] == pytest.approx([1, 1, 1], abs=1e-3)
    assert colours[:, 75, 150] == pytest.approx(script.COLOURS[-1], abs=0.03)


def test_the_pinwheels_picture_and_table(
    trained: list[Record], script: ModuleType, plans: dict[str, Plan], tmp_path: Path
) -> None:
    axes = plans["pinwheel"].axes
    text = script.pinwheel(trained, axes, tmp_path / "decomposition-pinwheel.png")
    with Image.open(tmp_path / "decomposition-pinwheel.png") as picture:
        width, height = picture.size
        pixels = np.asarray(picture)
    side = script.SIDE // script.REDUCED
    assert height >= (1 + len(axes[script.ALPHA])) * side
    assert width >= len(axes[script.BETA]) * side
    # A cell that is not run is grey.
    assert (pixels == 204).all(axis=2).mean() > 0.5
    assert text.count("\n| 8.0 | 0.0 |") == 1
    used = np.mean([item.metrics["clusters_used.fraction"] for item in trained[1:]])
    assert f"| 8.0 | 0.0 | {used:.3f} ±" in text
    assert "- beta alone: all clusters in use in " in text


def test_plots_have_a_colour_for_each_group(script: ModuleType, tmp_path: Path) -> None:
    priors = ("isotropic", "pca", "learned", "student-t")
    done = [
        record(
            {"prior": prior, script.BETA: beta, "seed": str(seed)},
            {"reconstruction.bce": 50 + 10 * float(beta) + seed, "kim_mnih_2018.score": 0.4 + 0.1 * number},
        )
        for number, prior in enumerate(priors)
        for beta in ("0.25", "1.0")
        for seed in range(3)
    ]
    text = script.priors(done, {}, tmp_path / "decomposition-priors.png")
    with Image.open(tmp_path / "decomposition-priors.png") as picture:
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {*PALETTE[1:5]} <= colours
    assert not {*PALETTE[5:]} & colours
    assert "| isotropic | 0.25 | 0.400 ± 0.000 |" in text


def test_sparsity_is_drawn_against_alpha(script: ModuleType, tmp_path: Path) -> None:
    axes = {script.MMD_ALPHA: ["0.0", "100.0"]}
    done = [
        record(
            {script.GAMMA: gamma, script.MMD_ALPHA: alpha, "seed": seed},
            {"hoyer_sparsity.score": 0.23 + float(gamma) / 4, "prior_match_mmd.score": 0.1},
        )
        for gamma in ("0.0", "0.8")
        for alpha in axes[script.MMD_ALPHA]
        for seed in ("0", "1")
    ]
    text = script.sparsity(done, axes, tmp_path / "decomposition-sparsity.png")
    assert (tmp_path / "decomposition-sparsity.png").exists()
    assert "| 0.8 | 100.0 | 0.430 ± 0.000 |" in text


def test_studies_that_are_not_there_are_left_out(
    trained: list[Record], script: ModuleType, plans: dict[str, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="none of decomposition-pinwheel, .* is here"):
        script.main(["--runs", str(tmp_path), "--out", str(tmp_path / "out")])
    folder = tmp_path / "runs" / "decomposition-pinwheel"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text("{}")
    left = Record({script.ALPHA: "1.0", script.BETA: "1.0", "seed": "0"}, "1" * 64, "failed", None, "why", {}, {}, {})
    standing = Study("decomposition-pinwheel", plans["pinwheel"].axes, [*trained, left])
    monkeypatch.setattr(script, "records", lambda path: standing)
    script.main(["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")])
    kept: dict[str, Any] = json.loads((tmp_path / "out" / "decomposition.json").read_text())
    assert list(kept) == ["decomposition-pinwheel"]
    assert len(kept["decomposition-pinwheel"]["absent"]) == 1
    text = (tmp_path / "out" / "decomposition.md").read_text()
    assert "## decomposition-sparsity\n\nNot run." in text
    assert "is failed" in text
