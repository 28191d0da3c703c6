"""What `aerepr plugins new` writes installs, keeps every contract and trains, whatever kinds are asked for."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aerepr.cli.app import app
from aerepr.errors import UsageError
from aerepr.registry.entrypoints import KINDS
from aerepr.registry.registry import Registry
from aerepr.workflows import check, plugin_new
from tests.environments import beside, run


def announce(folder: Path) -> None:
    """Make a written package look installed where `folder` is on the path, without pip's second and a half."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_each_kind_alone_passes_check(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, files = plugin_new.new(f"Aerepr_Only.{kind}", [kind], tmp_path / "new", Registry())
    assert f"aerepr_only_{kind}/{kind}.py" in files
    announce(folder)
    monkeypatch.syspath_prepend(str(folder))
    entry = Registry().find(kind, f"only_{kind}")
    assert (entry.package, entry.version) == (f"aerepr-only-{kind}", "0.1.0")
    assert Registry().note(kind, f"only_{kind}").summary
    _, report = check.check(folder / "spec.toml")
    assert report.problems == []


def test_a_package_of_every_kind_installs_passes_its_own_tests_and_trains(tmp_path: Path):
    folder, files = plugin_new.new("aerepr-rings", [f"{kind}s" for kind in KINDS], tmp_path / "ideas", Registry())
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == files
    texts = [(folder / file).read_text() for file in files]
    assert not [text for text in texts if "plugin_" in text or "PluginName" in text or "plugin-package" in text]
    assert list(tmp_path.iterdir()) == [folder]  # nothing is left aside
    run([sys.executable, "-m", "ruff", "check", "--no-cache", "."], folder)  # as its CI file does
    python = beside(tmp_path / "venv")
    run([python, "-m", "pip", "install", "-e", "."], folder)
    passed = run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder).stdout
    assert f"{len(KINDS) + 2} passed" in passed
    # As a whole the example uses every component that a spec can name, and the run says whose they are.
    done = json.loads(
        run(
            [python, "-m", "aerepr", "train", "spec.toml", "--json", "--set", "train.steps=2"]
            + ["--set", "train.log_every=1", "--set", "train.device=cpu"],
            folder,
        ).stdout
    )
    env = json.loads((folder / done["run"] / "env.json").read_text())
    assert env["packages"]["aerepr-rings"] == "0.1.0"
    lines = (folder / done["run"] / "rings.csv").read_text().splitlines()
    assert lines[0] == "step,name,value"
    assert {line.partition(",")[0] for line in lines[1:]} >= {"1", "2"}


def test_the_command_writes_the_kinds_it_is_given(tmp_path: Path):
    asked = ["plugins", "new", "aerepr-rings", "--kind", "decoder", "--kind", "metric", "--out", str(tmp_path / "new")]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    written = json.loads(done.stdout)
    assert written["out"] == str(tmp_path / "new")
    assert (
        sorted(str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*") if p.is_file())
        == written["files"]
    )
    points = tomllib.loads((tmp_path / "new" / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points == {
        "aerepr.recipes": {"aerepr_rings": "aerepr_rings"},
        "aerepr.decoders": {"rings": "aerepr_rings.decoder:RingsDecoder"},
        "aerepr.metrics": {"rings": "aerepr_rings.metric:RingsMetric"},
    }
    again = CliRunner().invoke(app, asked)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "there already" in again.stderr


@pytest.mark.parametrize(
    ("name", "kinds", "message"),
    [
        ("aerepr-rings", [], "--kind decoder"),
        ("aerepr-rings", ["decodr"], 'did you mean "decoder"'),
        ("../rings", ["decoder"], "no name of a package"),
        ("-rings", ["decoder"], "no name of a package"),
        ("", ["decoder"], "no name of a package"),
        ("3d", ["decoder"], '"3d" is no name in Python'),
        ("aerepr-3d", ["decoder"], '"3d" is no name in Python'),
        ("class", ["decoder"], '"class" is no name in Python'),
        ("aerepr", ["decoder"], "module here already"),
        ("aerepr-probe", ["decoder"], "module here already"),
        ("json", ["decoder"], "module here already"),
        ("aerepr-conv", ["decoder"], 'decoder "conv" is one of aerepr already'),
        ("aerepr-vae", ["decoder"], None),
        ("aerepr-conv", ["prior"], None),
    ],
)
def test_names(name: str, kinds: list[str], message: str | None, tmp_path: Path):
    if message is None:
        plugin_new.new(name, kinds, tmp_path / "new", Registry())
        return
    with pytest.raises(UsageError, match=message):
        plugin_new.new(name, kinds, tmp_path / "new", Registry())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aerepr-rings").mkdir()
    with pytest.raises(UsageError, match="aerepr-rings: there already"):
        plugin_new.new("aerepr-rings", ["decoder"], None, Registry())
    assert list((tmp_path / "aerepr-rings").iterdir()) == []


def test_a_recipe_of_that_name_is_not_claimed_twice(tmp_path: Path):
    with pytest.raises(UsageError, match='recipe "Vae" is there already'):
        plugin_new.new("aerepr-vae", ["decoder"], tmp_path / "new", Vaes())


class Vaes(Registry):
    """The components here, and a recipe called `Vae`."""

    def recipes(self):
        found = super().recipes()
        return [*found, replace(found[0], name="Vae", parameters={})]
