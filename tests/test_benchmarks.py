"""The studies in benchmarks/, a few steps long: what they write, and that they go on where they were."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from aerepr.study.adopt import adopt
from aerepr.study.folder import StudyFolder
from aerepr.study.plan import read_plan
from aerepr.study.record import Record, records
from aerepr.workflows import demo as demos
from aerepr.workflows import study as studies
from aerepr.workflows import study_worker
from aerepr.workflows import train as training

# Says what a page lacks here.
pytest_plugins = ["tests.export.visit"]

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = [
    *("data.size=16", "data.subset.floor_hue=[0]", "data.subset.wall_hue=[0]", "data.gallery=2", "sampler.size=16"),
    *("model.encoder.width=8", "model.decoder.width=8", "train.batch_size=8", "train.device=cpu"),
]
PHASES = ["train.phases.first.steps=6", "train.phases.adapt.steps=4"]


def arguments(out: Path, sets: list[str], *more: str) -> list[str]:
    return ["--out", str(out), *more, *(word for item in sets for word in ("--set", item))]


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module(name)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of every update done while the test runs."""
    done: list[int] = []
    one = training.Trainer._one

    def counted(self, phase) -> None:
        done.append(self.step)
        one(self, phase)

    monkeypatch.setattr(training.Trainer, "_one", counted)
    return done


def test_extrapolation_trains_the_first_phase_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[int]
) -> None:
    hold_out, held = "shape", {"shape": [2]}
    study = script("extrapolation", monkeypatch)
    asked = arguments(tmp_path, [*SMALL, *PHASES], "--models", "AE", "--rows", "50", "--hold-out", hold_out)
    study.main(asked)
    assert steps == [*range(6), *range(6, 10), *range(6, 10), *range(6, 10)]
    figures = json.loads((tmp_path / f"extrapolation-{hold_out}.json").read_text())
    assert (figures["hold_out"], figures["steps"], figures["rows"]) == (held, [6, 4], 50)
    errors = figures["mse_x1000"]["AE"]
    assert set(errors["held_out"]) == set(errors["seen"]) == {"neither", "encoder", "decoder", "both"}
    assert len(set(errors["held_out"].values())) == 4
    # The score is on file in the run, of held-out values of the test split, with its rows.
    ((name, classes),) = held.items()
    stored = f"test-{name}={','.join(map(str, classes))}.json"
    kept = json.loads((tmp_path / hold_out / "AE" / "both" / "evaluation" / stored).read_text())
    assert kept["subset"] == held
    assert kept["metrics"]["reconstruction"]["rows"] == 50
    score = 1000 * kept["metrics"]["reconstruction"]["numbers"]["reconstruction.mse"]
    assert score == pytest.approx(errors["held_out"]["both"], abs=1e-3)
    # Phase 1 did not see them.
    spec = json.loads((tmp_path / hold_out / "AE" / "neither" / "spec.resolved.json").read_text())
    assert not set(spec["train"]["phases"][0]["subset"][name]) & set(classes)
    # Started again, nothing is trained, and the table is the same.
    steps.clear()
    study.main(asked)
    assert steps == []
    assert json.loads((tmp_path / f"extrapolation-{hold_out}.json").read_text())["mse_x1000"] == figures["mse_x1000"]
    assert (tmp_path / f"extrapolation-{hold_out}.md").read_text() == study.table(figures)
    with pytest.raises(SystemExit, match="a run with other settings is there"):
        study.main([*asked, "--set", "seed=1"])


def test_every_value_is_held_out_or_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    study = script("extrapolation", monkeypatch)
    for hold_out, size in (("shape", 4), ("angle", 15)):
        (((name, held),), ((also, seen),)) = (part.items() for part in study.HOLD_OUTS[hold_out])
        assert name == also
        assert sorted([*held, *seen]) == list(range(size))
        planned = study.specs(hold_out, "SAE-12", [])
        assert [len(spec.train.phases) for spec in planned.values()] == [1, 2, 2, 2]
        assert all(spec.train.phases[0].subset == {name: seen} for spec in planned.values())
        assert [planned[arm].train.phases[1].learn for arm in study.ARMS] == [["encoder"], ["decoder"], None]
        assert all(planned[arm].train.phases[1].subset == {} for arm in study.ARMS)


@pytest.mark.full
def test_extrapolation_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = script("extrapolation", monkeypatch)
    sets = [*SMALL, "train.phases.first.steps=6", "train.phases.adapt.steps=40", "train.checkpoint_every=3"]
    asked = arguments(tmp_path / "cut", sets, "--models", "AE", "--rows", "50")
    process = subprocess.Popen(
        [sys.executable, str(BENCHMARKS / "extrapolation.py"), *asked], stderr=subprocess.DEVNULL
    )
    pointer = tmp_path / "cut" / "shape" / "AE" / "encoder" / "checkpoints" / "last"
    while process.poll() is None and not (pointer.exists() and pointer.read_text() > "step-00000012"):
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (pointer.parents[1] / "DONE").exists()
    study.main(asked)
    study.main(arguments(tmp_path / "whole", sets, "--models", "AE", "--rows", "50"))
    cut, whole = (
        json.loads((tmp_path / name / "extrapolation-shape.json").read_text())["mse_x1000"] for name in ("cut", "whole")
    )
    assert cut == whole


def test_evaluate_prints_the_seconds_of_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = script("evaluate", monkeypatch)
    small = ["frechet.rows=60", "dci.train_rows=40"]
    more = [word for item in small for word in ("--metric-set", item)]
    study.main(arguments(tmp_path, SMALL, "--rows", "60", *more))
    lines = capsys.readouterr().out.splitlines()
    seconds = {part: float(value) for _, part, value, _ in (line.split("|") for line in lines[2:] if line[:1] == "|")}
    parts = {part.strip(): value for part, value in seconds.items()}
    assert {"encoding, 60 examples", "encoding, in frechet", "reconstruction", "mig", "irs", "**dci**"} <= set(parts)
    total, encoding = parts["**metrics, without encoding and dci** (at most 300)"], parts["**encoding**"]
    assert encoding == pytest.approx(sum(s for part, s in parts.items() if part.startswith("encoding,")), abs=0.3)
    metrics = [s for part, s in parts.items() if not part.startswith(("encoding", "everything", "*"))]
    assert total == pytest.approx(sum(metrics), abs=0.3)
    assert total + encoding + parts["**dci**"] <= parts["everything, with loading and files"]


def test_export_prints_times_ratios_and_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = script("export", monkeypatch)
    # Each way is a process of its own; one of torch and two of onnxruntime do.
    kept = {name: study.WAYS[name] for name in ("eager: decode", "onnxruntime: bare decoder", "onnx: sample")}
    targets = [target for target in study.TARGETS if {*target[:2]} <= set(kept)]
    monkeypatch.setattr(study, "WAYS", kept)
    monkeypatch.setattr(study, "TARGETS", targets)
    monkeypatch.setattr(study, "PAUSE_S", 0)
    study.main(arguments(tmp_path, SMALL, "--rounds", "2", "--seconds", "0"))
    shown = capsys.readouterr().out
    number = r"\d+\.\d+ \(\d+\.\d+ to \d+\.\d+\)"
    for way in kept:
        assert re.search(rf"^\| {way} \| {number} \| {number} \|$", shown, re.MULTILINE)
    assert len(targets) == 2
    for name, other, limits in targets:
        assert re.search(rf"^\| {name} / {other} \| 64 \| {number} \| {limits[64]:.2f} \|$", shown, re.MULTILINE)
    assert "| decoder.onnx | " in shown


@pytest.mark.full
def test_export_prints_first_calls_and_what_fewer_bits_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = script("export", monkeypatch)
    monkeypatch.setattr(study, "WAYS", {"onnx: sample": study.WAYS["onnx: sample"]})
    monkeypatch.setattr(study, "PAUSE_S", 0)
    asked = arguments(tmp_path, SMALL, "--rounds", "2", "--seconds", "0")
    study.main([*asked, "--first-calls"])
    number = r"\d+\.\d+ \(\d+\.\d+ to \d+\.\d+\)"
    shown = capsys.readouterr().out
    for batch in study.BATCHES:
        assert re.search(rf"^\| onnx: sample \| {batch} \| {number} \| {number} \| {number} \|$", shown, re.MULTILINE)
    study.main([*asked, "--precision"])
    shown = capsys.readouterr().out
    sizes = {
        bits: int(re.search(rf"^\| {bits} \| ([\d,]+)", shown, re.MULTILINE)[1].replace(",", ""))
        for bits in study.FOLDERS
    }
    assert sizes["fp32"] > sizes["fp16"] > sizes["int8"]
    lost = {
        bits: float(re.search(rf"^\| {bits} \|.*?\|.*?\| ([\d.]+) ", shown, re.MULTILINE)[1])
        for bits in ("fp16", "int8")
    }
    assert lost["fp16"] > lost["int8"] > 20


@pytest.mark.full
@pytest.mark.usefixtures("chromium", "runtime")
def test_web_prints_what_a_move_costs(tmp_path: Path) -> None:
    # A process of its own: one process holds one playwright, which the tests of the page may have.
    asked = arguments(tmp_path, SMALL, "--turns", "2", "--each", "3")
    command = [sys.executable, str(BENCHMARKS / "web.py"), *asked]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["calls"], figures["in_page"], figures["at_most"]) == (6, True, 1.3)
    assert figures["bare_ms"] > 0
    for ratio, call in (("ratio", "bare_ms"), ("ratio_shown", "shown_ms")):
        assert figures[ratio] == pytest.approx(figures["move_ms"] / figures[call], rel=0.1)


def test_a_way_that_ends_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study = script("export", monkeypatch)
    with pytest.raises(SystemExit, match="onnxruntime: bare decoder: its process ended"):
        study.Worker("onnxruntime: bare decoder", tmp_path, 0, 1)
    assert "decoder.onnx" in capfd.readouterr().err


def test_family_pictures_are_one_a_model_and_one_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[int]
) -> None:
    study = script("family_pictures", monkeypatch)
    asked = arguments(tmp_path, SMALL, "--steps", "3", "--pictures", str(tmp_path / "images"))
    study.main(asked)
    assert len(steps) == 3 * 4
    made = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / "images").iterdir()}
    assert set(made) == {"family-chunks", *(f"family-{model}" for model in study.MODELS)}
    # A base, four quarters and twelve dimensions, each with its padding; and four quarters of four models.
    cell = 16 * study.SCALE + 2
    assert {made[f"family-{model}"].shape[0] for model in study.MODELS} == {17 * cell + 2}
    assert made["family-chunks"].shape[0] == 16 * cell + 3 * 10 + 2
    # Quarters are of three dimensions in every model, whatever its variables.
    for model in study.MODELS:
        start, chunks, dimensions = study.rows_of(tmp_path / model, 0)
        assert [label for label, _ in chunks] == ["z1-z3", "z4-z6", "z7-z9", "z10-z12"]
        assert [label for label, _ in dimensions] == [f"z{i}" for i in range(1, 13)]
        assert len(start[0][1]) == 2
    study.main(asked)
    assert len(steps) == 3 * 4


# Values of every factor, so that all can be told apart, of which some 300 images are for tests.
FEW = "floor_hue = [0, 3, 6], wall_hue = [0, 3, 6], object_hue = [0, 3, 6], scale = [0, 7], orientation = [0, 5, 9, 14]"
STUDY = """
name = "rooms"
[spec]
model.encoder.width = 8
model.decoder.width = 8
data = { name = "rooms", size = 16, gallery = 3, subset = { FEW } }
train = { steps = 3, batch_size = 8, device = "cpu", validate_every = 1000000 }
sampler = { name = "hybrid", size = 16 }
[axes]
"model.recipe" = ["SAE-6", "VAE"]
seed = [0]
[[evaluate]]
id = "judged"
metrics = ["frechet", "reconstruction", "hybrid_gap"]
rows = 40
settings = { frechet = { rows = 40, features = "judge" } }
""".replace("FEW", FEW)
JUDGE = """
name = "judge"
model = { recipe = "AE", encoder = { width = 8 }, decoder = { width = 8 } }
data = { name = "rooms", size = 16, gallery = 3, subset = { FEW } }
train = { steps = 1, batch_size = 8, device = "cpu", validate_every = 1000000 }
""".replace("FEW", FEW)


def test_reproduction_reads_the_study_and_draws_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = script("reproduction", monkeypatch)
    asked = ["--out", "out", "--rows", "300"]
    with pytest.raises(SystemExit, match='no study "rooms" here'):
        study.main(asked)
    Path("judge.toml").write_text(JUDGE)
    training.train("judge.toml")
    Path("rooms.toml").write_text(STUDY)
    assert studies.run("rooms.toml", jobs=2)["states"]["done"] == 2
    study.main(asked)
    figures = json.loads(Path("out/reproduction.json").read_text())
    assert (figures["study"], figures["rows"], figures["absent"]) == ("rooms", 300, [])
    sae, vae = (figures["recipes"][recipe]["0"] for recipe in ("SAE-6", "VAE"))
    # A variable of SAE-6 is two dimensions, one of the VAE is one.
    assert (len(sae["order"]["effect"]), len(vae["order"]["effect"])) == (6, 12)
    assert set(sae["order"]["position"]) == {*study.HUES, *study.GEOMETRY}
    assert all(0 <= place <= 1 for place in sae["order"]["position"].values())
    assert all(len(of_variables) == 6 for of_variables in sae["order"]["importance"].values())
    assert set(vae["frechet"]) == set(study.MADE)
    assert set(sae["frechet"]) == set(study.MADE) - {"prior"}
    stored = {record.levels["model.recipe"]: record.metrics for record in records(Path("runs/rooms")).records}
    assert sae["bce"] == stored["SAE-6"]["judged/reconstruction.bce"]
    assert sae["ratio_decoded"] == stored["SAE-6"]["judged/hybrid_gap.ratio_decoded"]
    # The run that judged says what it can see.
    judge = figures["judge"]
    assert (judge["run"], set(judge["explicitness"])) == ("judge", {*study.HUES, *study.GEOMETRY})
    assert all(0 <= area <= 1 for area in judge["explicitness"].values())
    text = Path("out/reproduction.md").read_text()
    assert "of 1 seeds" in text
    assert "judged/frechet.reconstruction@features=judge,rows=40: " in text
    assert f"mean squared error {judge['mse']:.5f} a value; explicitness of each factor" in text
    sizes = {path.name: np.asarray(Image.open(path)).shape for path in Path("out").glob("*.png")}
    assert set(sizes) == {"reproduction-samples.png", "reproduction-SAE-6.png", "reproduction-VAE.png"}
    # Real, reconstructed, hybrid and fitted; and prior samples of the VAE.
    cell = 16 * study.SCALE + 2
    assert sizes["reproduction-samples.png"][0] == (4 + 5) * cell + 2 * (2 + 12)
    # The same study, by samplers.py: banks of two sizes and what they are made of.
    compared = script("samplers", monkeypatch)
    compared.main(["--judges", "judge", "--rows", "60", "--draws", "2", "--out", "out"])
    figures = json.loads(Path("out/samplers.json").read_text())
    sae, vae = (figures["recipes"][recipe]["0"]["judge"] for recipe in ("SAE-6", "VAE"))
    assert set(vae) == {"floor", *compared.MADE}
    assert set(sae) == set(vae) - {"prior"}
    drawn = {name: len(set(values)) for name, values in vae.items()}
    assert drawn == {"floor": 1, "reconstruction": 1} | dict.fromkeys(compared.MADE[1:], 2)
    text = Path("out/samplers.md").read_text()
    nearer = "1" if np.mean(vae["hybrid, all"]) < np.mean(vae["prior"]) else "0"
    assert f"- hybrid, all nearer than prior, in seeds: VAE {nearer} of 1\n" in text
    assert len([line for line in text.splitlines() if line.startswith("| SAE-6 | ") and line.endswith(" | - |")]) == 1


def test_position_is_where_the_importance_is(monkeypatch: pytest.MonkeyPatch) -> None:
    study = script("reproduction", monkeypatch)
    importance_VK = np.array([[0.7, 0, 0.25, 0], [0, 0, 0, 0], [0, 0.7, 0.75, 0]])
    # All in the first variable, all in the last, a quarter in the first; nothing found.
    np.testing.assert_allclose(study.positions(importance_VK), [0, 1, 0.75, 0.5])


def test_claims_are_counted_by_seed_and_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    study = script("reproduction", monkeypatch)

    def figures(dci: float, prior: float | None, bce: float, hybrid: float = 2.0) -> dict[str, object]:
        order = {"position": dict.fromkeys((*study.HUES, *study.GEOMETRY), 0.5), "gap": 0.1, "effect": [1.0]}
        frechet = {"hybrid_variable": hybrid, "gaussian": 2.5} | ({"prior": prior} if prior is not None else {})
        numbers = {"dci": dci, "bce": bce, "ratio_decoded": hybrid, "frechet": frechet}
        return {"order": order | {"informativeness": 0.9}, **numbers}

    found = {
        "SAE-12": {"0": figures(0.5, None, 900.0), "1": figures(0.3, None, 935.0, hybrid=4.0)},
        "VAE": {"0": figures(0.2, 3.0, 930.0), "1": figures(0.2, 1.0, 940.0)},
        "AE": {"0": figures(0.4, None, 920.0, hybrid=3.0), "1": figures(0.1, None, 910.0, hybrid=5.0)},
    }
    text = study.claims(found, "as it came about")
    # Hybrids of the VAE are nearer than prior samples in one seed, and than fitted ones in both; SAE-12's in one, AE's in none.
    assert "| 3.00 ± 1.41 | - | - | 2.50 ± 0.00 | - | 1 of 2 seeds |" in text
    assert "| 1 of 2 seeds | 2 of 2 seeds |" in text
    assert "| - | 0 of 2 seeds |" in text
    assert "| SAE-12 | 917.5 ± 24.7 | 900.0, 935.0 | 1 of 3, 2 of 3 | 3.00 ± 1.41 | 2.00, 4.00 |" in text
    assert "- SAE-12 reconstruct better than all others in 1 of 2 seeds" in text
    assert "DCI of SAE-12 above that of AE in 3 of 4 pairs of runs: 0.400 ± 0.141 against 0.250 ± 0.212" in text
    # 2 and 4 against 3 and 5.
    assert "Fréchet distance of hybrids of SAE-12 below that of AE in 3 of 4 pairs of runs: 3.000" in text
    assert "`hybrid_gap.ratio_decoded` of SAE-12 below that of AE in 3 of 4 pairs" in text
    assert "of VAE in" not in text
    record = Record({}, "", "done", None, "", {"judged/frechet.prior@features=a,rows=4": 1.0}, {}, {})
    assert study.number(record, "frechet.prior") == 1.0
    assert study.number(record, "frechet.gaussian") is None


HELD = "floor_hue = [0], wall_hue = [0], object_hue = [0]"
FIRST = "{ steps = 3, subset = { HELD, shape = [0, 1, 3] } }"
ARMS = """
name = "rooms-extrapolation"
[spec]
model.encoder.width = 8
model.decoder.width = 8
data = { name = "rooms", size = 16, gallery = 3, subset = { HELD } }
train = { batch_size = 8, device = "cpu", validate_every = 1000000 }
sampler = { name = "hybrid", size = 16 }
[axes]
"model.recipe" = ["SAE-6"]
seed = [0]
[axes.learn.neither]
train.phases = [FIRST]
[axes.learn.encoder]
train.phases = [FIRST, { steps = 2, learn = ["encoder"] }]
[axes.learn.decoder]
train.phases = [FIRST, { steps = 2, learn = ["decoder"] }]
[axes.learn.both]
train.phases = [FIRST, { steps = 2 }]
[[evaluate]]
id = "held-out"
metrics = ["reconstruction"]
subset = { HELD, shape = [2] }
[[evaluate]]
id = "seen"
metrics = ["reconstruction"]
subset = { HELD, shape = [0, 1, 3] }
""".replace("FIRST", FIRST).replace("HELD", HELD)


def test_adaptation_compares_the_arms_and_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = script("adaptation", monkeypatch)
    asked = ["--out", "out"]
    with pytest.raises(SystemExit, match='no study "rooms-extrapolation" here'):
        study.main(asked)
    Path("arms.toml").write_text(ARMS)
    plan, report = read_plan(Path("arms.toml")), study_worker.Reporter(io.StringIO())
    folder = StudyFolder(Path("runs") / plan.name)
    adopt(folder, plan)
    # What the processes of the driver do, in this one.
    for place in range(len(plan.runs)):
        job = studies._job(plan, folder, Path("runs"), place).order | {"branch": None}
        study_worker._evaluate(job, study_worker._train(job, report), report)
    study.main(asked)
    figures = json.loads(Path("out/adaptation.json").read_text())
    arms = figures["mse_x1000"]["SAE-6"]["0"]
    assert (set(arms), figures["absent"]) == (set(study.ARMS), [])
    errors = [tuple(arms[arm][rows] for rows in (study.HELD_OUT, study.SEEN)) for arm in study.ARMS]
    assert len(set(errors)) == 4
    record = records(folder.path).records[0]
    assert record.levels["learn"] == "neither"
    assert errors[0][0] == 1000 * record.metrics["held-out/reconstruction.mse"]
    cell = 16 * study.SCALE + 2
    assert np.asarray(Image.open("out/adaptation.png")).shape[0] == 5 * cell + 2
    assert "| SAE-6 |" in Path("out/adaptation.md").read_text()


def test_claims_of_adaptation_are_counted_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    study = script("adaptation", monkeypatch)

    def arms(encoder: tuple[float, float], decoder: tuple[float, float]) -> dict[str, dict[str, float]]:
        both = {"encoder": encoder, "decoder": decoder}
        return {arm: {study.HELD_OUT: held, study.SEEN: seen} for arm, (held, seen) in both.items()}

    # Lower in both; lower in neither; a lower error that is all more training, since it is as much lower on what was seen.
    seeds = {"0": arms((8, 2), (4, 2)), "1": arms((6, 2), (8, 2)), "2": arms((6, 4), (5, 1))}
    text = study.claims({"SAE-12": seeds})
    assert "| SAE-12 | 2 of 3 seeds | 1 of 3 seeds | 2.00, 0.75, 1.20 |" in text
    assert "| SAE-12 | - | 6.67 ± 1.15 (2.67 ± 1.15) | 5.67 ± 2.08 (1.67 ± 0.58) | - |" in text
    assert "| SAE-12 | - | 4.00 ± 2.00 | 4.00 ± 2.00 | - |" in text


def test_metrics_are_timed_beside_their_loops(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = script("metrics", monkeypatch)
    assert study.main(["--only", "mig,irs", "--times", "1"]) == 0
    _, *rows, last = capsys.readouterr().out.splitlines()
    for name, line in zip(("mig", "irs"), rows, strict=True):
        found, slow, quick, ratio, _, expected, value = line.split()
        assert found == name
        assert float(ratio) == pytest.approx(float(slow) / float(quick), rel=0.2)
        assert float(value) == pytest.approx(float(expected), abs=1e-5)
    assert float(re.search(r"peak memory (\d+) MiB", last)[1]) > 50


def test_demo_measures_the_distance_to_the_nearest_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = script("demo", monkeypatch)
    known = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert demo.nearest(torch.tensor([[3.0, 3.0], [0.0, 2.0]]), known).tolist() == pytest.approx([1.0, 4.0])
    sets = ["train.steps=2", "model.encoder.width=8", "model.decoder.width=8", "data.subset.floor_hue=[0]"]
    made = demos.demo(runs=tmp_path, sets=sets)
    capsys.readouterr()
    demo.main([made["run"]])
    seed, error, hybrids, back = re.findall(r"[\d.]+", capsys.readouterr().out.splitlines()[-1])
    assert seed == "0"
    assert float(error) == pytest.approx(made["percent of the mean image's"], abs=0.01)
    # No reconstruction is nearer to its own image than to the nearest one.
    assert 0 < float(back) <= float(error) + 0.01
    assert float(hybrids) > 0


def test_rooms_are_counted_by_the_second(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["rooms.py", "--size", "16", "--batches", "4"])
    script("rooms", monkeypatch).main()
    row = capsys.readouterr().out.splitlines()[-1]
    middle, low, high = (float(value.replace(",", "")) for value in re.findall(r"[\d,]{2,}(?= [(t]|\))", row)[:3])
    assert 0 < low <= middle <= high
    assert "16 x 16" in row


def test_start_up_takes_turns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    start_up = script("start_up", monkeypatch)
    monkeypatch.setattr(
        start_up, "COMMANDS", {"nothing": ["-c", "pass"], "long": ["-c", "import time; time.sleep(0.3)"]}
    )
    monkeypatch.setattr(sys, "argv", ["start_up.py", "--rounds", "2"])
    start_up.main()
    nothing, long = (float(re.search(r"\| ([\d.]+) \(", row)[1]) for row in capsys.readouterr().out.splitlines()[2:])
    assert long - nothing == pytest.approx(0.3, abs=0.25)
