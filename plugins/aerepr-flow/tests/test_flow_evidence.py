"""What is made of the studies in `examples`: tables, the claim, and strips; the runs here are a few steps long."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from aerepr.study.adopt import adopt
from aerepr.study.folder import StudyFolder
from aerepr.study.plan import read_plan
from aerepr.study.record import Record, Study, records
from aerepr.workflows import study as studies
from aerepr.workflows import study_worker

PACKAGE = Path(__file__).parents[1]

TINY = """
name = "flow-rooms"
[spec]
model.latent_dim = 4
model.encoder = { name = "mlp", width = 8 }
model.decoder = { name = "mlp", width = 8 }
model.posterior.name = "gaussian"
model.regularizers = [{ name = "kl" }]
[spec.data]
name = "transform_sequences"
steps = 2
split = [0.5, 0.0, 0.5]
gallery = 1
source = { name = "npz", path = "bars.npz", images = "images" }
[spec.train]
steps = 2
batch_size = 8
device = "cpu"
[axes]
seed = [0, 1]
[axes.motion.flow]
model = { objective = { name = "flow" } }
[axes.motion.none]
model = { objective = { name = "single_frame" } }
[axes.motion.matched]
model = { objective = { name = "single_frame" }, regularizers = [{ name = "kl", weight = 0.5 }] }
[[evaluate]]
metrics = ["equivariance_error", "equivariance_error@static", "equivariance_error@linear", "equivariance_error@linear_direct"]
rows = 60
[[evaluate]]
id = "likelihood"
metrics = ["sequence_log_likelihood", "sequence_log_likelihood@static"]
rows = 10
"""
NAMES = ("scale", "rotation", "hue")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(PACKAGE.parents[1] / "benchmarks")
    return importlib.import_module("flow_study")


def test_the_script_knows_the_studies(script: ModuleType) -> None:
    plans = [read_plan(PACKAGE / "examples" / f"{name}.toml") for name in ("mnist", "rooms")]
    assert tuple(plan.name for plan in plans) == script.STUDIES
    for plan in plans:
        assert set(plan.axes) == {"seed", "motion"}
        assert set(plan.axes["motion"]) == {"flow", *script.RIVALS}
        asked = {item.id or "": item for item in plan.evaluate}
        assert {"equivariance_error", *(f"equivariance_error@{kind}" for kind in ("static", *script.MAPS))} <= {
            *(asked[""].metrics or ())
        }
        assert set(asked) == {"", *script.LIKELIHOODS.values()}


@pytest.mark.full
def test_a_study_becomes_tables_verdicts_and_strips(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="none of flow-mnist, flow-rooms is here"):
        script.main(["--out", "out"])
    images = np.zeros((120, 8, 8, 1), np.uint8)
    for row, image in enumerate(images):
        image[1 + row % 3 : 6, 2 + row % 4 : 4 + row % 4] = 255 - row
    np.savez("bars.npz", images=images)
    Path("tiny.toml").write_text(TINY)
    plan, report = read_plan(Path("tiny.toml")), study_worker.Reporter(io.StringIO())
    folder = StudyFolder(Path("runs") / plan.name)
    adopt(folder, plan)
    for place, run in enumerate(plan.runs):
        if run.levels["seed"] == "0":
            job = studies._job(plan, folder, Path("runs"), place).order | {"branch": None}
            study_worker._evaluate(job, study_worker._train(job, report), report)
    script.main(["--out", "out", "--pictures", "pictures"])
    kept = json.loads(Path("out/flow_study.json").read_text())["flow-rooms"]
    text = Path("out/flow_study.md").read_text()
    assert "## flow-mnist\n\nNot run." in text
    assert len(kept["absent"]) == 3
    stored = {record.levels["motion"]: record.metrics for record in records(folder.path).records if record.run}
    drawn = kept["tables"]["sample"]
    assert set(drawn["flow, supervised"]) >= {*NAMES, "log p"}
    assert drawn["flow, supervised"]["scale"] == {"0": stored["flow"]["equivariance_error.sample_scale"]}
    assert drawn["flow, supervised"]["log p"] == {"0": stored["flow"]["likelihood/sequence_log_likelihood.gaussian"]}
    key = "equivariance_error.sample_hue@linear_direct"
    assert drawn["matched: linear maps to each t"]["hue"] == {"0": stored["matched"][key]}
    assert f"| matched: linear maps to each t | {stored['matched'][key.replace('hue', 'scale')]:.1f} |" in text
    assert kept["folded"]["scale"] == {"0": stored["flow"]["equivariance_error.folded_scale"]}
    # The seed without runs is missing everywhere.
    for way in script.WAYS:
        outcomes = [(one["seed"], one[rival]["outcome"]) for one in kept["claims"][way] for rival in script.RIVALS]
        assert [outcome for seed, outcome in outcomes if seed == "1"] == ["missing"] * 6
        assert "missing" not in [outcome for seed, outcome in outcomes if seed == "0"]
    # Three sequences of each transformation; the key says what the letters are.
    blind = kept["pictures"]["blind"]
    assert sorted(item["transformation"] for item in blind) == sorted(NAMES * script.SEQUENCES)
    assert all({item[letter] for letter in "ABC"} == set(script.MADE) for item in blind)
    assert len({tuple(item[letter] for letter in "ABC") for item in blind}) > 1
    sizes = {path.name: np.asarray(Image.open(path)).shape for path in Path("pictures").iterdir()}
    assert set(sizes) == {"flow-rooms.png", "flow-rooms-blind.png"}
    cell = 8 * script.SCALES[0] + 2
    assert sizes["flow-rooms.png"][0] == sizes["flow-rooms-blind.png"][0] == 36 * cell + 8 * 5 * 2 + 2
    # Strips are of the sequences and of the models they say.
    study, rows = records(folder.path), script.asked_rows(folder)
    assert rows == 60
    strips = script.strips(study, "0", NAMES, rows)
    run = script.opened(study, "flow", "0")
    for strip in strips:
        assert set(strip.frames) == {"true", *script.MADE}
        moves = np.abs(np.diff(strip.frames["true"], axis=0)).max(axis=(1, 2, 3))
        assert (moves > 0).all()
        still = np.moveaxis(run.reconstruct(np.moveaxis(strip.frames["true"][:1], 1, -1)), -1, 1)
        np.testing.assert_allclose(strip.frames["at rest"], np.repeat(still, 3, axis=0), atol=1e-5)
        np.testing.assert_allclose(strip.frames["flow"][0], still[0], atol=1e-5)
        assert np.abs(strip.frames["flow"][1:] - still).max() > 1e-6
        rival, kind = script.best_map(study, "0", strip.name)
        assert strip.linear == f"{rival} @{kind}"
        first = np.moveaxis(
            script.opened(study, rival, "0").reconstruct(np.moveaxis(strip.frames["true"][:1], 1, -1)), -1, 1
        )
        np.testing.assert_allclose(strip.frames["linear"][0], first[0], atol=1e-5)


def test_the_claim_is_judged_by_seed_transformation_and_rival(script: ModuleType) -> None:
    def record(motion: str, seed: str, numbers: dict[str, float], state: str = "done") -> Record:
        metrics = {f"equivariance_error.represent_hue{end}": value for end, value in numbers.items()}
        return Record({"seed": seed, "motion": motion}, "", state, None, "", metrics, {}, {})  # type: ignore[arg-type]

    runs = []
    # Below both maps of either; between the two maps of none; within 1 % of the better; one map is missing.
    for seed, flow in (("0", 98.0), ("1", 105.0), ("2", 100.9), ("3", 50.0)):
        rivals = {"@static": 1.0, "@linear": 110.0} | ({} if seed == "3" else {"@linear_direct": 100.0})
        runs += [record("flow", seed, {"": flow, "@static": 1.0}), record("none", seed, rivals)]
        runs.append(record("matched", seed, {"@linear": 200.0, "@linear_direct": 120.0}))
    # A run that failed may have been evaluated before.
    runs += [record("flow", "4", {"": 1.0}, "failed"), record("none", "4", {"@linear": 9.0, "@linear_direct": 9.0})]
    study = Study("given", {"seed": list("01234"), "motion": ["flow", "none", "matched"]}, runs)
    assert script.transformations(study) == ["hue"]
    text = script.told(script.claim(study, ["hue"], "represent"), "represent")
    assert text.splitlines()[-2:] == [
        "- represent: the flow errs less than the better linear map of none: holds in 1 of 5; fails: seed 1 hue; tie: seed 2 hue; "
        "missing: seed 3 hue, seed 4 hue",
        "- represent: the flow errs less than the better linear map of matched: holds in 4 of 5; missing: seed 4 hue",
    ]
    assert "| 1 | hue | 105.0 | 100.0 (@linear_direct) | fails | 120.0 (@linear_direct) | holds |" in text
    assert "holds in 0 of 5" in script.told(script.claim(study, ["hue"], "sample"), "sample")


def test_a_blind_picture_shows_what_its_key_says(script: ModuleType, tmp_path: Path) -> None:
    # Sequence i is of grey 10 i, and what is made of it is a little brighter, each by its own.
    made = ("true", *script.MADE)
    strips = [
        script.Strip(
            NAMES[i // 3],
            100 + i,
            "none @linear",
            {name: np.full((2, 1, 4, 4), 10 * i + j, np.uint8) for j, name in enumerate(made)},
        )
        for i in range(9)
    ]
    rows, key = script.blind(strips)
    assert [label for label, _ in rows] == [text for place in range(1, 10) for text in (f"{place} true", "A", "B", "C")]
    for place, item in enumerate(key):
        strip = strips[item["row"] - 100]
        shown = dict(
            zip(("true", "A", "B", "C"), (frames for _, frames in rows[4 * place : 4 * place + 4]), strict=True)
        )
        assert item["transformation"] == strip.name
        assert shown["true"] is strip.frames["true"]
        assert all(shown[letter] is strip.frames[item[letter]] for letter in "ABC")
    assert [item["row"] for item in key] != sorted(item["row"] for item in key)
    assert len({item["A"] for item in key}) == 3
    assert script.blind(strips)[1] == key
    script.draw(strips, tmp_path, "flow-mnist")
    pictures = [np.asarray(Image.open(tmp_path / name)) for name in ("flow-mnist.png", "flow-mnist-blind.png")]
    assert pictures[0].shape[0] == pictures[1].shape[0]
    assert not np.array_equal(*pictures)


def test_a_picture_that_is_too_large_is_drawn_smaller_or_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)
    sizes = []
    for scale in script.SCALES:
        monkeypatch.setattr(script, "SCALES", (scale,))
        script.save(tmp_path / "one.png", [("", noise)])
        sizes.append((tmp_path / "one.png").stat().st_size)
    monkeypatch.setattr(script, "SCALES", (2, 1))
    monkeypatch.setattr(script, "LARGEST", sizes[0])
    script.save(tmp_path / "two.png", [("", noise)])
    assert (tmp_path / "two.png").stat().st_size == sizes[1] < sizes[0]
    monkeypatch.setattr(script, "LARGEST", sizes[1])
    with pytest.raises(SystemExit, match=r"two\.png: .* lower SEQUENCES"):
        script.save(tmp_path / "two.png", [("", noise)])
