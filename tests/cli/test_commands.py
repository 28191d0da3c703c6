"""Every other command: its answer as text and as JSON, and nothing but the answer on stdout."""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from aerepr.conformance.result import Result
from aerepr.workflows import runs as workflow


def answer(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def text(result):
    assert result.exit_code == 0, result.output
    return result.stdout


# Specs.


def test_check_says_what_the_model_is(aerepr, folder):
    found = answer(aerepr("check", "spec.toml", "--json"))
    assert {"parameters", "layout", "latent_dim", "shapes", "problems"} <= set(found)
    assert found["problems"] == []
    assert (found["latent_dim"], found["layout"]) == (2, [1, 1])
    # Two linear layers each way: 2*8 + 8 + 8*2 + 2.
    assert found["parameters"]["encoder"] == found["parameters"]["decoder"] == 42
    assert found["parameters"]["total"] == found["parameters"]["trainable"] == 84
    assert found["parameters"]["adversaries"] == 0
    assert found["shapes"]["x"] == [16, 2]
    assert found["exportable"] == "yes"
    shown = text(aerepr("check", "spec.toml"))
    assert shown.startswith("spec.toml: no problems\n")
    assert "84 (84 trainable)" in shown
    assert found["resolved"] == {"model.encoder": {"hidden": [8]}, "model.decoder": {"hidden": [8]}}
    assert ["model.encoder.hidden", "8"] in [line.split() for line in shown.splitlines()]


def test_check_lists_data_and_shape_problems(aerepr, folder):
    found = aerepr("check", "spec.toml", "--json", "--set", "train.batch_size=100")
    assert found.exit_code == 2
    (problem,) = json.loads(found.stdout)["problems"]
    assert problem["path"] == "train.batch_size"
    (folder / "points.npy").write_bytes(b"junk")
    found = aerepr("check", "spec.toml", "--json")
    assert found.exit_code == 2
    (problem,) = json.loads(found.stdout)["problems"]
    assert problem["path"] == "data"
    assert "points.npy" in problem["message"]
    assert "points.npy" in found.stderr


def test_spec_show_is_the_spec_with_everything_written_out(aerepr, folder):
    shown = text(aerepr("spec", "show", "spec.toml", "--set", "train.steps=9"))
    tables = tomllib.loads(shown)
    assert tables["train"]["steps"] == 9
    assert tables["train"]["optimizer"]["lr"] == 5e-4
    assert answer(aerepr("spec", "show", "spec.toml", "--set", "train.steps=9", "--json")) == tables
    (folder / "again.toml").write_text(shown)
    assert text(aerepr("spec", "show", "again.toml")) == shown


def test_spec_schema(aerepr, folder):
    found = answer(aerepr("spec", "schema"))
    assert found["title"] == "aerepr spec"
    assert text(aerepr("spec", "schema", "--out", "s.json")) == "s.json\n"
    assert json.loads(Path("s.json").read_text()) == found


@pytest.mark.parametrize("recipe", ["SAE-6", "AdaAE-12", "SAE-16", "AE", "VAE", "beta-VAE"])
def test_a_new_spec_is_a_spec(aerepr, folder, recipe):
    assert text(aerepr("spec", "new", "--recipe", recipe, "--out", "new.toml")) == "new.toml\n"
    tables = answer(aerepr("spec", "show", "new.toml", "--json"))
    assert tables["model"]["recipe"] == recipe
    assert tables["name"] == f"{recipe}-rooms".lower()


def test_a_new_spec_shows_the_keys_of_its_data_and_replaces_nothing(aerepr, folder):
    shown = text(aerepr("spec", "new", "--data", "idx"))
    assert 'images = ""' in shown
    assert "required: " in shown
    # Every optional key that has a default is one uncommenting away.
    lines = [line.removeprefix("# ") for line in shown.splitlines() if line.startswith("# split")]
    assert tomllib.loads("\n".join(lines)) == {"split": [0.7, 0.1, 0.2], "split_seed": 0}
    assert answer(aerepr("spec", "new", "--data", "idx", "--json")) == {"spec": shown}
    assert aerepr("spec", "new", "--out", "spec.toml").exit_code == 2
    assert "[train]" in Path("spec.toml").read_text()


# Catalogues.


def test_models(aerepr, folder):
    found = {row["name"]: row for row in answer(aerepr("models", "--json"))}
    assert found["SAE-{n}"]["parameters"] == {"n": [2, 3, 4, 6, 12]}
    assert "SAE-{n}" in text(aerepr("models"))
    one = answer(aerepr("models", "SAE-6", "--json"))
    assert one["tables"]["model"]["decoder"] == {"name": "structural", "variables": 6}
    assert tomllib.loads(text(aerepr("models", "SAE-6"))) == one["tables"]
    assert answer(aerepr("models", "SAE-{n}", "--json"))["tables"]["model"]["decoder"]["variables"] == "{n}"


def test_a_recipe_of_ones_own_is_a_model(aerepr, folder):
    (folder / "registry.toml").write_text(
        '[[recipes]]\nname = "Own"\nsummary = "mine"\n[recipes.model]\nlatent_dim = 3\n'
    )
    assert "Own" in [row["name"] for row in answer(aerepr("models", "--json"))]
    assert tomllib.loads(text(aerepr("models", "Own"))) == {"model": {"latent_dim": 3}}


def test_plugins_list(aerepr, folder):
    found = answer(aerepr("plugins", "list", "--json"))
    rows = {(row["kind"], row["name"]): row for row in found["components"]}
    assert rows["decoder", "structural"]["package"] == "aerepr"
    assert rows["decoder", "structural"]["summary"]
    only = answer(aerepr("plugins", "list", "--kind", "samplers", "--json"))["components"]
    assert {row["kind"] for row in only} == {"sampler"}
    assert "hybrid" in text(aerepr("plugins", "list", "--kind", "sampler"))


def test_plugins_list_names_what_is_not_installed_not_allowed_or_wrong(aerepr, folder, monkeypatch):
    (folder / "registry.toml").write_text(
        """
        [[plugins]]
        package = "aerepr-nowhere"
        summary = "far away"
        install = "pip install aerepr-nowhere"
        """
    )
    monkeypatch.setenv("AEREPR_PLUGINS", "decoders:conv=a:B")
    result = aerepr("plugins", "list")
    assert "aerepr-nowhere: pip install aerepr-nowhere" in text(result)
    assert 'warning: decoder "conv" of aerepr: also claimed by AEREPR_PLUGINS' in result.stderr
    rows = {row["package"]: row for row in answer(aerepr("plugins", "list", "--json"))["packages"]}
    assert (rows["aerepr-nowhere"]["status"], rows["AEREPR_PLUGINS"]["status"]) == ("not installed", "installed")


def test_plugins_list_survives_a_broken_package(aerepr, folder, monkeypatch):
    site = folder / "site"
    info = site / "broken_pack-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "broken_pack").mkdir()
    (site / "broken_pack" / "registry.toml").write_text("[")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-pack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[aerepr.recipes]\nbad = broken_pack\n[aerepr.decoders]\nbad = broken_pack:Gone\n"
    )
    monkeypatch.syspath_prepend(str(site))
    result = aerepr("plugins", "list", "--json")
    assert "warning: broken-pack: " in result.stderr
    found = answer(result)
    assert "bad" in [row["name"] for row in found["components"]]
    assert "cannot be read" in {row["package"]: row["problem"] for row in found["packages"]}["broken-pack"]
    shown = aerepr("plugins", "show", "decoder", "bad")
    assert (shown.exit_code, "of package broken-pack 1.0 cannot be loaded" in shown.stderr) == (1, True)


def test_plugins_show_lists_keys_with_defaults(aerepr, folder):
    found = answer(aerepr("plugins", "show", "regularizer", "kl", "--json"))
    keys = {row["key"]: row for row in found["fields"]}
    assert keys["weight"] == {
        "key": "weight",
        "type": "float",
        "default": 1.0,
        "required": False,
        "description": "factor of this term in the loss",
        "schedulable": True,
    }
    assert keys["optimizer"]["type"] == "table (optional)"
    shown = text(aerepr("plugins", "show", "dataset", "idx"))
    assert "required" in next(line for line in shown.splitlines() if line.startswith("images  "))
    assert "no keys but name" in text(aerepr("plugins", "show", "posterior", "deterministic"))


def test_plugins_check_fails_if_a_check_fails(aerepr, folder, monkeypatch):
    found = [
        Result("decoder", "conv", "shapes", True),
        Result("decoder", "mlp", "shapes", False, "is round"),
        Result("decoder", "mlp", "export", False, "no exporter", skipped=True),
    ]
    asked = []
    monkeypatch.setattr("aerepr.conformance.run.check_package", lambda name, registry: asked.append(name) or found)
    result = aerepr("plugins", "check", "Aerepr")
    assert (result.exit_code, asked) == (1, ["aerepr"])
    assert "1 passed, 1 failed, 1 skipped" in result.stdout
    assert "is round" in result.stdout
    del found[1]
    # A check that could not be made fails nothing.
    assert [row["passed"] for row in answer(aerepr("plugins", "check", "aerepr", "--json"))] == [True, False]


def test_plugins_check_runs_the_checks_of_a_package(aerepr, folder, monkeypatch):
    monkeypatch.setenv("AEREPR_PLUGINS", "likelihoods:mine=aerepr.builtin.likelihoods.bernoulli:Bernoulli")
    found = answer(aerepr("plugins", "check", "AEREPR_PLUGINS", "--json"))
    assert {(row["kind"], row["name"]) for row in found} == {("likelihood", "mine")}


def test_data(aerepr, folder):
    assert {"idx", "rooms"} <= {row["name"] for row in answer(aerepr("data", "list", "--json"))}
    assert "rooms" in text(aerepr("data", "list"))
    found = answer(aerepr("data", "inspect", "spec.toml", "--json", "--out", "look.png"))
    assert found["shape"] == {"kind": "vector", "sizes": [2]}
    assert (found["rows"], found["splits"]) == (60, {"train": 42, "valid": 6, "test": 12})
    assert (found["factors"], found["picture"]) == ([], "look.png")
    assert Path("look.png").read_bytes().startswith(b"\x89PNG")


def test_data_with_factors_and_a_subset(aerepr, folder, tiny_run):
    shutil.copy(tiny_run / "spec.toml", "images.toml")
    found = answer(
        aerepr("data", "inspect", "images.toml", "--json", "--set", "data.subset.row=[0, 1]", "--out", "x.png")
    )
    assert found["shape"] == {"kind": "image", "sizes": [1, 16, 16]}
    assert [(row["name"], row["classes"], row["known"]) for row in found["factors"]] == [
        ("column", 6, 200),
        ("row", 6, 200),
        ("width", 3, 200),
    ]
    assert sum(found["splits"].values()) < found["rows"]
    shown = text(aerepr("data", "inspect", "images.toml"))
    assert "column" in shown
    assert "image 1 x 16 x 16" in shown


def test_info(aerepr, folder):
    found = answer(aerepr("info", "--json"))
    assert found["packages"]["torch"]
    assert found["cache"] == str(folder / "cache")
    assert found["components"] > 30
    assert "device" in text(aerepr("info"))


# Products of a run.


def test_sample(aerepr, folder, tiny_run):
    assert text(aerepr("sample", tiny_run, "--hybrid", "-n", "4", "--out", "x.png")) == "x.png\n"
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    found = answer(
        aerepr("sample", tiny_run, "--sampler", "gaussian", "-n", "5", "--seed", "3", "--out", "x.npz", "--json")
    )
    assert (found["sampler"], found["n"], found["seed"]) == ("gaussian", 5, 3)
    with np.load("x.npz") as arrays:
        assert arrays["images"].shape == (5, 16, 16, 1)
        assert arrays["z"].shape == (5, 4)
    assert (
        answer(aerepr("sample", tiny_run, "--set", "unit=dimension", "--out", "y.npz", "--json"))["sampler"] == "hybrid"
    )


def test_traverse_reconstruct_encode_decode(aerepr, folder, tiny_run):
    assert answer(aerepr("traverse", tiny_run, "--set", "steps=3", "--base", "1", "--out", "t.npz", "--json"))["labels"]
    assert text(aerepr("reconstruct", tiny_run, "--out", "r.png")) == "r.png\n"
    found = answer(aerepr("encode", tiny_run, "--split", "valid", "--out", "c.npz", "--json"))
    assert (found["n"], found["latent_dim"]) == (20, 4)
    assert text(aerepr("decode", tiny_run, "c.npz", "--out", "d.npz")) == "d.npz\n"
    # The picture just decoded is data again.
    found = answer(aerepr("encode", tiny_run, "d.npz", "--key", "images", "--out", "again.npz", "--json"))
    assert found["n"] == 20


def test_the_newest_run_is_meant_where_none_is_named(aerepr, folder, tiny_run):
    runs = tiny_run.parents[1]
    assert answer(aerepr("sample", "--runs", runs, "-n", "1", "--out", "x.npz", "--json"))["run"] == str(tiny_run)
    assert answer(aerepr("encode", "x.npz", "--key", "images", "--runs", runs, "--json"))["n"] == 1
    assert answer(aerepr("decode", "x.npz", "--runs", runs, "--out", "y.npz", "--json"))["n"] == 1


def test_export(aerepr, folder, tiny_run, monkeypatch):
    # Where no format is named, one that cannot be made here, or of what is asked for, is left out.
    with monkeypatch.context() as patch:
        newer = SimpleNamespace(version_info=(3, 14, 0))
        patch.setattr("aerepr.builtin.exporters.torchscript.sys", newer)
        found = answer(aerepr("export", tiny_run, "--out", "out", "--json"))
    assert set(found["skipped"]) == {"torchscript"}
    assert "this is 3.14" in found["skipped"]["torchscript"]
    assert set(found["files"]) == {"decoder.onnx", "sampler.onnx", "card.json"}
    assert max(found["max_abs_diff"].values()) <= 1e-5
    # What an export to all formats answers where one cannot be made, and a page has files of its own.
    page = {name: "part of the page" for name in ("page/main.js", "page/look.css")}
    files, sizes = found["files"] | page, found["bytes"] | dict.fromkeys(page, 1024)
    more = {**found, "files": files, "bytes": sizes, "skipped": {"torchscript": "not on this Python"}}
    with monkeypatch.context() as patch:
        patch.setattr("aerepr.workflows.products.export", lambda *_, **asked: {**more, "out": asked["sampler"]})
        shown = text(aerepr("export", tiny_run, "--to", "all", "--sampler", "gaussian"))
    lines = shown.splitlines()
    assert lines[0] == "gaussian"
    assert lines[1].split() == ["file", "size", "max", "diff", "use"]
    size, parity, use = (
        r"\d+\.\d KiB",
        r"\d\.\de-\d\d",
        r"onnxruntime, any language: z \(B, \d+\) to image \(B, 1, 16, 16\)",
    )
    assert [line for line in lines if re.fullmatch(rf"decoder\.onnx  +{size}  +{parity}  +{use} *", line)], shown
    assert "and 2 files that belong to these, 2.0 KiB" in lines
    assert "not made: torchscript: not on this Python" in lines
    shown = text(aerepr("export", tiny_run, "--precision", "fp16", "--out", "half"))
    assert "not made: torchscript: stores no weights in fp16: leave the precision out" in shown
    ratio = r"\d\.\d\d x"
    assert re.search(
        rf"fp16 weights: decoder\.onnx, {ratio} the bytes and {ratio} the time of fp32, PSNR \d\d\.\d dB against", shown
    )
    added = answer(aerepr("export", tiny_run, "--to", "onnx", "--part", "encoder", "--out", "out", "--json"))
    assert {"encoder.onnx", "decoder.onnx"} <= set(added["files"])
    assert added["kept"] == ["decoder.onnx", "sampler.onnx"]
    shown = text(aerepr("export", tiny_run, "--to", "torchscript", "--sampler", "gaussian", "--out", "out"))
    assert 'gone, for it was of the sampler "hybrid": decoder.onnx, sampler.onnx, encoder.onnx' in shown
    assert shown.count("PyTorch has deprecated TorchScript") == 1


# Runs.


@pytest.fixture
def runs(folder, tiny_run, tiny_vector_run):
    """A folder of two runs, the vectors newer."""
    for path in (tiny_run, tiny_vector_run):
        shutil.copytree(path, folder / "runs" / path.parent.name / path.name)
    (folder / "runs" / "tiny-vectors" / tiny_vector_run.name).rename(
        folder / "runs" / "tiny-vectors" / "21000101T000000Z-0"
    )
    return folder / "runs"


def test_runs_list(aerepr, runs):
    found = answer(aerepr("runs", "list", "--json"))
    assert [(row["name"], row["state"], row["step"], row["steps"]) for row in found] == [
        ("tiny", "done", 10, 10),
        ("tiny-vectors", "done", 10, 10),
    ]
    assert set(found[0]["losses"]) == {"train", "valid"}
    assert "10/10" in text(aerepr("runs", "list"))
    assert text(aerepr("runs", "list", "--runs", "nowhere")) == "no runs in nowhere\n"


def test_runs_list_keeps_a_damaged_run_in_sight(aerepr, runs):
    (run,) = (runs / "tiny").iterdir()
    (run / "spec.resolved.json").write_text("[]")
    result = aerepr("runs", "list", "--json")
    assert "cannot be read" in result.stderr
    assert "cannot be read" in answer(result)[0]["problem"]
    (run / "spec.resolved.json").write_text('{"name": 3}')
    assert "not a spec" in aerepr("runs", "list").stderr


def test_runs_show(aerepr, runs):
    found = answer(aerepr("runs", "show", "tiny", "--json"))
    assert found["spec"]["name"] == "tiny"
    assert found["env"]["torch"]
    assert found["last"]["train"]["step"] == 10
    assert found["files"]["model/model.safetensors"] > 0
    assert answer(aerepr("runs", "show", "--json"))["row"]["name"] == "tiny-vectors"
    assert 'name = "tiny"' in text(aerepr("runs", "show", "tiny"))


def test_runs_compare(aerepr, runs):
    found = answer(aerepr("runs", "compare", "tiny", "tiny-vectors", "--json"))
    assert found["spec"]["name"] == ["tiny", "tiny-vectors"]
    assert found["spec"]["model.encoder.name"] == ["conv", "mlp"]
    assert found["spec"]["model.regularizers.kl.weight"] == [None, 1.0]
    assert "seed" not in found["spec"]
    assert found["numbers"]["train/step"] == [10, 10]
    assert found["numbers"]["train/loss/kl"][0] is None
    assert "model.encoder.name" in text(aerepr("runs", "compare", "tiny", "tiny-vectors"))
    assert "the specs are the same" in text(aerepr("runs", "compare", "tiny", "tiny"))
    assert "two runs or more" in aerepr("runs", "compare", "tiny").stderr


def test_runs_rm_deletes_one_run_and_asks(aerepr, runs, monkeypatch):
    (run,) = (runs / "tiny").iterdir()
    refused = aerepr("runs", "rm", "tiny")
    assert (refused.exit_code, "pass --yes" in refused.stderr) == (2, True)
    assert run.exists()
    monkeypatch.setattr("aerepr.cli.runs._can_ask", lambda: True)
    assert aerepr("runs", "rm", "tiny", stdin="n\n").exit_code == 1
    assert run.exists()
    assert f"deleted {run.relative_to(runs.parent)}" in text(aerepr("runs", "rm", "tiny", stdin="y\n"))
    assert not run.exists()
    (other,) = (runs / "tiny-vectors").iterdir()
    found = answer(aerepr("runs", "rm", other, "--yes", "--json"))
    assert found == {"removed": str(other)}
    assert not other.exists()


def test_runs_rm_leaves_everything_else_alone(aerepr, runs):
    (runs / "tiny" / "notes").mkdir()
    (runs / "tiny" / "notes" / "text").touch()
    for path in (runs, runs / "tiny", runs / "tiny" / "notes", runs.parent):
        result = aerepr("runs", "rm", path, "--yes")
        assert result.exit_code == 1
        assert "not a run directory" in result.stderr
    assert (runs / "tiny" / "notes" / "text").exists()
    (run,) = (path for path in (runs / "tiny").iterdir() if path.name != "notes")
    (runs.parent / "link").symlink_to(run)
    assert aerepr("runs", "rm", runs.parent / "link", "--yes").exit_code == 1
    assert (run / "spec.resolved.json").exists()


def test_runs_rm_refuses_a_name_that_several_runs_have(aerepr, runs):
    (run,) = (runs / "tiny").iterdir()
    shutil.copytree(run, runs / "tiny" / "20300101T000000Z-0")
    result = aerepr("runs", "rm", "tiny", "--yes")
    assert result.exit_code == 2
    assert "is the name of 2 runs" in result.stderr
    assert len(list((runs / "tiny").iterdir())) == 2


def test_newest_unfinished_passes_over_those_that_are_done(runs):
    (run,) = (runs / "tiny").iterdir()
    (run / "DONE").rename(run / "INTERRUPTED")
    assert workflow.newest_unfinished(runs) == run


# The demo.


def test_demo_hands_over_seed_folder_and_a_watcher(aerepr, folder, monkeypatch):
    module = ModuleType("aerepr.workflows.demo")

    def demo(runs, seed, watcher):
        print("chatter")
        watcher.message("training")
        return {"run": str(runs), "seed": seed}

    module.demo = demo
    monkeypatch.setitem(sys.modules, "aerepr.workflows.demo", module)
    result = aerepr("demo", "--seed", "2", "--runs", "elsewhere", "--json")
    assert answer(result) == {"run": "elsewhere", "seed": 2}
    assert result.stderr == "training\nchatter\n" or result.stderr == "chatter\ntraining\n"
    assert text(aerepr("demo")).splitlines() == ["run   runs", "seed  0"]
