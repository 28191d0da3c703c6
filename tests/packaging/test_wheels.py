"""What users get: the wheels, installed where the sources are not, beside the same torch as here.

The core alone, with the probe, with each package of `plugins/`, and all of them together.

The environments hold links to every package of this one but aerepr and its plugins, so that nothing is downloaded and
nothing of the checkout can be imported.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "tests" / "probe"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))

OURS = ("aerepr", "_aerepr", "__editable__")


def run(command, folder, code=0, seconds=300, **environment):
    """A command in `folder` with nothing of this process's Python set-up; its result, if the exit code is `code`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AEREPR", "PIP_"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=inherited | {"OMP_NUM_THREADS": "1", "AEREPR_CACHE": str(folder / "cache")} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Environment:
    """A virtual environment with some wheels of ours, and an empty folder to work in."""

    def __init__(self, folder: Path, *wheels: Path) -> None:
        self.home = folder / "venv"
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        venv.create(self.home, with_pip=False)
        self.python = self.home / "bin" / "python"
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(self.home)}))
        for place in [Path(path) for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]:
            for item in sorted(place.iterdir()) if place.is_dir() else []:
                link = self.site / item.name
                if not item.name.startswith(OURS) and item.suffix != ".pth" and not link.exists():
                    link.symlink_to(item)
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-deps", "--no-index"]
        run([*pip, *wheels], self.work)

    def aerepr(self, *arguments, code=0):
        """The console script."""
        return run([self.home / "bin" / "aerepr", *arguments], self.work, code)

    def json(self, *arguments):
        """What a command prints with `--json`."""
        return json.loads(self.aerepr(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist of aerepr, the wheel built from that sdist, and the wheel of the probe."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder]
    run([*build, ROOT], folder)
    run([*build, "--wheel", PROBE], folder)
    names = ("aerepr-*.tar.gz", "aerepr-*.whl", "aerepr_probe-*.whl")
    return [next(folder.glob(name)) for name in names]


@pytest.fixture(scope="module")
def plugin_wheels(tmp_path_factory):
    """The wheel of each package in `plugins/`, by the package's name."""
    folder = tmp_path_factory.mktemp("plugins")
    for plugin in PLUGINS:
        run([sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, plugin], folder)
    return {plugin.name: next(folder.glob(f"{plugin.name.replace('-', '_')}-*.whl")) for plugin in PLUGINS}


@pytest.fixture(scope="module")
def core(built, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("core"), built[1])


@pytest.fixture(scope="module")
def both(built, tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp("both"), *built[1:])
    shutil.copytree(PROBE / "specs", environment.work / "specs")
    return environment


@pytest.fixture(scope="module")
def trained(both):
    """A run whose posterior, prior, data set and metric are the probe's, trained with the console script."""
    done = both.json("train", "specs/categorical.toml")
    assert done["state"] == "done"
    return both.work / done["run"]


# What is in the packages.


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[1]).namelist()
    packaged = {name for name in names if name.startswith("aerepr/")}
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "aerepr").rglob("*") if path.is_file()}
    here = {name for name in here if "__pycache__" not in name}
    assert packaged == here | {"aerepr/registry.toml"}
    assert "aerepr/py.typed" in packaged
    assert {name.split("/")[0] for name in names} == {"aerepr", "aerepr-0.1.0.dist-info"}
    assert "aerepr-0.1.0.dist-info/licenses/LICENSE" in names
    assert built[1].stat().st_size < 1_000_000


def test_the_sdist_holds_what_building_and_testing_need(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "registry.toml", "constraints.txt", "Makefile", "README.md", "LICENSE"} <= names
    assert {
        "CITATION.cff",
        "CHANGELOG.md",
        "aerepr/py.typed",
        "tests/conftest.py",
        "tests/probe/pyproject.toml",
    } <= names
    assert not [name for name in names if name.startswith((".venv", "runs", "dist")) or "__pycache__" in name]
    assert built[0].stat().st_size < 2_000_000


def test_the_wheel_says_what_it_needs(core):
    code = "import json; from importlib.metadata import metadata as m; print(json.dumps(m('aerepr').json))"
    about = json.loads(run([core.python, "-c", code], core.work).stdout)
    assert about["license_expression"] == "Apache-2.0"
    assert about["requires_python"] == ">=3.11"
    assert set(about["provides_extra"]) == {"metrics", "fid", "tb", "viz", "data", "all", "dev"}
    bare = {text.split(">=")[0] for text in about["requires_dist"] if "extra ==" not in text}
    users = {"torch", "numpy", "pydantic", "typer", "rich", "h5py", "onnx", "safetensors"}
    assert {name.lower() for name in bare} == users | {"onnxscript", "onnxruntime", "pillow"}


# The core alone.


@pytest.mark.parametrize("name", ["core", "both"])
def test_what_is_imported_is_what_was_installed(name, request):
    environment = request.getfixturevalue(name)
    code = "import aerepr, sys; from importlib.metadata import distributions, entry_points; print(aerepr.__file__); "
    code += "print(sorted(d.name for d in distributions() if d.name.startswith('aerepr'))); "
    code += "print(len(entry_points(group='aerepr.priors')))"
    file, packages, priors = run([environment.python, "-c", code], environment.work).stdout.splitlines()
    assert Path(file).is_relative_to(environment.site)
    assert packages == {"core": "['aerepr']", "both": "['aerepr', 'aerepr-probe']"}[name]
    assert priors == {"core": "1", "both": "3"}[name]


def test_the_core_alone_lists_no_plugin(core):
    listed = core.json("plugins", "list")
    assert {row["package"] for row in listed["components"]} == {"aerepr"}
    assert all(row["summary"] for row in listed["components"])  # read from the registry.toml inside the wheel


def test_the_core_alone_does_not_know_the_probe(core):
    shutil.copytree(PROBE / "specs", core.work / "specs", dirs_exist_ok=True)
    errors = core.aerepr("check", "specs/learned_prior.toml", code=2).stderr
    assert 'no prior named "probe_pca_normal"' in errors
    assert 'no dataset named "probe_squares"' in errors
    assert "installed: standard_normal" in errors
    assert "Traceback" not in errors


def test_a_run_whose_plugin_is_not_installed(core, trained):
    for command in (["sample", trained], ["train", "--resume", trained]):
        done = core.aerepr(*command, code=1)
        assert done.stdout == ""
        assert done.stderr.count("error: ") == 1
        assert str(trained) in done.stderr
        assert "made with aerepr-probe==0.1.0, not installed here: pip install aerepr-probe==0.1.0" in done.stderr
        assert "Traceback" not in done.stderr


# The probe beside it.


def test_plugins_list_shows_the_probe(both):
    listed = both.json("plugins", "list")
    rows = [row for row in listed["components"] if row["package"] == "aerepr-probe"]
    assert len(rows) == 9
    assert {row["version"] for row in rows} == {"0.1.0"}
    assert all(row["summary"] and not row["problem"] for row in rows)
    # Plugins of this repository that are not installed are listed too.
    (package,) = [row for row in listed["packages"] if row["package"] == "aerepr-probe"]
    assert (package["package"], package["version"], package["status"]) == ("aerepr-probe", "0.1.0", "installed")
    assert "aerepr-probe" in both.aerepr("plugins", "list").stdout
    assert any(recipe["name"] == "Probe-Grid-{n}" for recipe in both.json("models"))


def test_the_probe_passes_its_checks(both):
    results = both.json("plugins", "check", "aerepr-probe")
    assert {row["name"] for row in results} == {
        row["name"] for row in both.json("plugins", "list")["components"] if row["package"] == "aerepr-probe"
    }
    assert all(row["passed"] for row in results)


def test_the_commands_work_with_it(both, trained):
    assert (trained / "DONE").is_file()
    assert "aerepr-probe" in (trained / "env.json").read_text(encoding="utf-8")
    both.aerepr("sample", trained, "-n", "4", "--out", "four.npz")
    assert (both.work / "four.npz").is_file()
    exported = both.json("export", trained, "--to", "onnx")
    assert max(exported["max_abs_diff"].values()) <= 1e-5
    code = "import aerepr, sys; print(aerepr.load_decoder(sys.argv[1]).sample(3, seed=0).shape[0])"
    assert run([both.python, "-c", code, trained / "exports"], both.work).stdout == "3\n"


def test_every_probe_spec_trains_samples_and_exports(both):
    code = """
import sys
import aerepr
for spec in sys.argv[1:]:
    run = aerepr.load(aerepr.train(spec))
    run.sample(4, seed=0)
    print(max(run.export(to=["torchscript"])["max_abs_diff"].values()) <= 1e-5)
"""
    specs = sorted(path for path in (both.work / "specs").glob("*.toml") if path.stem != "categorical")
    assert len(specs) == 4
    printed = run([both.python, "-c", code, *specs], both.work).stdout
    assert printed.splitlines()[-4:] == ["True"] * 4


# Each package of plugins/ beside the core, and all together.

SHORT = """
name = "short"
model = {{ recipe = "{recipe}" }}
data = {data}
train = {{ steps = 2, batch_size = 8, device = "cpu", log_every = 1, validate_every = 2, checkpoint_every = 2 }}
"""

ROOMS = '{ name = "rooms", size = 32 }'
# Why a plugin's test may be skipped beside its wheel.
MAY_BE_MISSING = r"CUDA device|needs files|is not here|/proc"
# Plugins whose recipes want something else than pictures of rooms: a recipe, and what it trains on.
OTHERS = {"aerepr-flow": ("Flow-small", f'{{ name = "factor_sequences", steps = 2, source = {ROOMS} }}')}


def short_spec(environment, plugin):
    """A spec of two steps with the first recipe of a plugin, or one that is named above."""
    recipes = [
        recipe for recipe in environment.json("models") if recipe["package"] == plugin.name and not recipe["parameters"]
    ]
    assert recipes, f"{plugin}: no recipe without a parameter in its registry.toml"
    path = environment.work / f"{plugin.name}.toml"
    recipe, data = OTHERS.get(plugin.name, (recipes[0]["name"], ROOMS))
    path.write_text(SHORT.format(recipe=recipe, data=data), encoding="utf-8")
    return path


def test_plugin_wheels_carry_their_licence(plugin_wheels):
    for wheel in plugin_wheels.values():
        assert [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/licenses/LICENSE")], (
            wheel
        )


@pytest.mark.skipif(not PLUGINS, reason="there is no package in plugins/")
def test_all_together_claim_no_name_twice(built, plugin_wheels, tmp_path):
    every = Environment(tmp_path, *built[1:], *plugin_wheels.values())
    listed = every.json("plugins", "list")
    assert {row["package"] for row in listed["components"]} == {"aerepr", "aerepr-probe", *plugin_wheels}
    assert [row for row in listed["components"] + listed["packages"] if row["problem"]] == []
    recipes = [recipe["name"] for recipe in every.json("models")]
    assert len(recipes) == len(set(recipes))
    for plugin in PLUGINS:
        every.aerepr("check", short_spec(every, plugin))


# `make wheels`: what takes minutes.


@pytest.mark.full
def test_the_core_alone_trains_samples_and_exports(core):
    (core.work / "alone.toml").write_text(SHORT.format(recipe="SAE-6", data=ROOMS), encoding="utf-8")
    trained = core.json("train", "alone.toml")["run"]
    core.aerepr("sample", trained, "-n", "4", "--out", "four.png")
    assert (core.work / "four.png").is_file()
    assert max(core.json("export", trained, "--to", "torchscript,onnx")["max_abs_diff"].values()) <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_alone_loads_and_trains(plugin, built, plugin_wheels, tmp_path):
    one = Environment(tmp_path, built[1], plugin_wheels[plugin.name])
    listed = one.json("plugins", "list")
    assert {row["package"] for row in listed["components"]} == {"aerepr", plugin.name}
    rows = [row for row in listed["components"] if row["package"] == plugin.name]
    assert all(row["summary"] and not row["problem"] for row in rows)  # read from the registry.toml inside the wheel
    # Its own tests hold it against every check; here, that each component's file is in the wheel and needs nothing else.
    code = "import sys; from aerepr.registry.registry import Registry; found = Registry(); print(sorted(e.name for kind in "
    code += "sys.argv[2:] for e in found.entries(kind) if e.package == sys.argv[1] and found.load(kind, e.name).Spec))"
    loaded = run([one.python, "-c", code, plugin.name, *sorted({row["kind"] for row in rows})], one.work).stdout
    assert loaded.strip() == str(sorted(row["name"] for row in rows))
    done = one.json("train", short_spec(one, plugin))
    assert done["state"] == "done"
    env = json.loads((one.work / done["run"] / "env.json").read_text(encoding="utf-8"))
    assert plugin.name in env["packages"]


@pytest.mark.full
@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugins_own_tests_pass_on_its_wheel(plugin, built, plugin_wheels, tmp_path):
    one = Environment(tmp_path, built[1], plugin_wheels[plugin.name])
    checked = one.json("plugins", "check", plugin.name)
    # What needs published files is skipped, and says so.
    assert all(row["passed"] or (row["skipped"] and "needs files" in row["message"]) for row in checked)
    # The tests and what they read, but none of the sources they test.
    ours = shutil.ignore_patterns("__pycache__", plugin.name.replace("-", "_"), "*.egg-info", ".*")
    shutil.copytree(plugin, one.work / "plugins" / plugin.name, ignore=ours)
    for name in ("tests", "benchmarks"):
        shutil.copytree(ROOT / name, one.work / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "registry.toml"):
        shutil.copy(ROOT / name, one.work / name)
    data = os.environ.get("AEREPR_REAL_DATA", str(ROOT.parent / "shared" / "data"))
    command = [one.python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"plugins/{plugin.name}/tests"]
    told = run(command, one.work, seconds=900, AEREPR_REAL_DATA=data).stdout
    assert " passed" in told
    # Were all of them skipped, that would pass as well: what may be missing here is a GPU and files.
    skips = [line for line in told.splitlines() if line.startswith("SKIPPED")]
    assert [line for line in skips if not re.search(MAY_BE_MISSING, line)] == []


@pytest.mark.full
def test_all_together_train(built, plugin_wheels, tmp_path):
    every = Environment(tmp_path, *built[1:], *plugin_wheels.values())
    for plugin in PLUGINS:
        assert not [row for row in every.json("plugins", "check", plugin.name) if not (row["passed"] or row["skipped"])]
        assert every.json("train", short_spec(every, plugin))["state"] == "done"
