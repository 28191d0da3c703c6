"""What a run says of itself: written with the spec last, read before anything else is done."""

from __future__ import annotations

import errno
import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import pytest

from aerepr import atomic
from aerepr.errors import AereprError, AereprWarning, RunDirectoryError
from aerepr.registry.registry import Registry
from aerepr.rundir import layout, manifest
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.base import ComponentOf, ComponentSpec, Table, components
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec

ENV = {"folder": "/somewhere", "packages": {}}


@pytest.fixture
def spec() -> RunSpec:
    return spec_from_tables({"name": "a", "model": {"recipe": "VAE"}, "data": {"name": "rooms"}, "train": {"steps": 1}})


def test_the_file_itself_is_kept_and_the_resolved_spec_beside_it(tmp_path: Path, spec: RunSpec) -> None:
    run = RunDirectory(tmp_path)
    manifest.write(run, spec, "# my words\n", ENV)
    assert run.spec_toml.read_text() == "# my words\n"
    assert manifest.read_spec(run) == spec
    longer = spec.model_copy(update={"train": spec.train.model_copy(update={"steps": 9})})
    manifest.rewrite_spec(run, longer)
    assert manifest.read_spec(run) == longer
    assert run.spec_toml.read_text() == "# my words\n"


@pytest.mark.parametrize("file", ["spec.toml", "env.json", "spec.resolved.json"])
def test_a_folder_is_a_run_once_its_manifest_is_whole(
    tmp_path: Path, spec: RunSpec, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = atomic._flush

    def full(path: Path) -> None:
        if path.name.endswith(file):
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(path)

    monkeypatch.setattr(atomic, "_flush", full)
    with pytest.raises(AereprError, match="disk is full"):
        manifest.write(RunDirectory(tmp_path), spec, None, ENV)
    assert not layout.is_run(tmp_path)


def test_packages_that_are_not_here_are_named_but_for_code_without_a_package(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.env.write_text(json.dumps(ENV | {"packages": {"torch": version("torch"), "no-such-a": "unpackaged"}}))
    manifest.require_packages(run)
    run.env.write_text(json.dumps(ENV | {"packages": {"no-such-b": "0.3"}}))
    with pytest.raises(RunDirectoryError, match="pip install no-such-b==0.3"):
        manifest.require_packages(run)


def test_a_plugin_of_another_version_is_warned_of_and_the_core_is_not(tmp_path: Path, spec: RunSpec) -> None:
    run = RunDirectory(tmp_path)
    here = version("aerepr-probe")
    manifest.write(run, spec, None, ENV | {"packages": {"aerepr": "0.0.1", "aerepr-probe": here}})
    assert manifest.read_spec(run) == spec
    run.env.write_text(json.dumps(ENV | {"packages": {"aerepr": "0.0.1", "aerepr-probe": "0.0.7"}}))
    text = rf"made with aerepr-probe 0.0.7, {here} is installed here.*pip install aerepr-probe==0.0.7"
    with pytest.warns(AereprWarning, match=text):
        assert manifest.read_spec(run) == spec


def test_packages_of_every_component_are_recorded_those_inside_others_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def packages(data: dict[str, object], **more: object) -> dict[str, str]:
        tables = {"model": {"recipe": "VAE", "latent_dim": 2}, "data": data, "train": {"steps": 1}, **more}
        registry = Registry()
        spec = spec_from_tables(tables, registry=registry)
        found: dict[str, str] = manifest.environment(spec, tmp_path, registry, {})["packages"]
        return found

    core, probe = {"aerepr": version("aerepr")}, {"aerepr-probe": version("aerepr-probe")}
    assert packages({"name": "rooms"}) == core
    assert packages({"name": "rooms"}, evaluation={"metrics": ["probe_mode_gap"]}) == core | probe
    monkeypatch.setenv("AEREPR_PLUGINS", "datasets:swapped=tests.data.test_nested:Swapped")
    outer = {"AEREPR_PLUGINS": "unpackaged"}
    assert packages({"name": "swapped", "source": {"name": "rooms"}}) == core | outer
    assert packages({"name": "swapped", "source": {"name": "probe_pinwheel"}}) == core | outer | probe
    twice = {"name": "swapped", "source": {"name": "swapped", "source": {"name": "probe_pinwheel"}}}
    assert packages(twice) == core | outer | probe


def test_a_component_that_may_be_left_out_is_found_where_it_is_not() -> None:
    class Perhaps(Table):
        metric: Annotated[ComponentSpec, ComponentOf("metric")] | None = None

    assert list(components(Perhaps.model_validate({"metric": {"name": "irs"}}))) == [("metric", "irs")]
    assert list(components(Perhaps())) == []
