"""Every installed component, built-in or the probe's, passes every check of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerepr.conformance.run import CHECKS, assert_conforms, check_component, check_package
from aerepr.errors import UnknownComponent, UsageError
from aerepr.registry.entrypoints import KINDS
from aerepr.registry.registry import Registry

REGISTRY = Registry()
PACKAGES = ("aerepr", "aerepr-probe")
COMPONENTS = [(kind, e.name) for kind in KINDS for e in REGISTRY.entries(kind) if e.package in PACKAGES]

# Data sets whose files the fixture writes.
EXAMPLES = {
    "array": {"path": "values.npy"},
    "csv": {"path": "table.csv", "factors": ["kind"]},
    "hdf5": {"path": "arrays.h5", "values": "values", "factors": "labels"},
    "idx": {"images": "images.idx", "labels": "labels.idx"},
    "image_folder": {"path": "pictures", "mode": "L"},
    "npz": {"path": "arrays.npz", "images": "images", "factors": "latents"},
}

# What needs a file that cannot be made here; its checks are skipped, and tests/builtin/metrics/test_fid.py tests it.
NEEDS_FILES = {("metric", "fid")}

# Settings that make another function of a component than its defaults do.
VARIANTS = [
    ("decoder", "structural", {"width": 8, "variables": 2}),
    ("decoder", "adaptive", {"width": 8, "layers": 2, "identity_start": True}),
    ("decoder", "ladder", {"width": 8, "variables": 2, "upsample": "transposed"}),
    ("encoder", "conv", {"width": 8, "downsample": "stride"}),
    ("encoder", "ladder", {"width": 8, "depth": 24, "downsample": "stride"}),
    ("likelihood", "gaussian", {"learned": "global"}),
    ("likelihood", "gaussian", {"learned": "per_value"}),
    ("likelihood", "laplace", {"learned": "per_value"}),
    ("regularizer", "kl", {"free_nats": 0.05}),
    ("sampler", "hybrid", {"unit": "dimension"}),
    ("sampler", "gaussian", {"diagonal": True}),
    ("prior", "probe_pca_normal", {"learned": True}),
]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_conforms(kind: str, name: str, files: Path):
    example = EXAMPLES.get(name) if kind == "dataset" else None
    results = check_component(kind, name, REGISTRY, example=example, folder=files)
    missed = [result for result in results if not (result.passed or (result.skipped and (kind, name) in NEEDS_FILES))]
    assert [f"{result.check}: {result.message}" for result in missed] == []


@pytest.mark.parametrize(("kind", "name", "example"), VARIANTS)
def test_conforms_with_other_settings(kind: str, name: str, example: dict[str, object]):
    assert_conforms(kind, name, REGISTRY, example=example)


def test_every_kind_has_checks():
    assert tuple(CHECKS) == KINDS
    for checks in CHECKS.values():
        assert len({check.name for check in checks}) == len(checks)


def test_a_data_set_without_its_files_is_skipped_and_not_passed(tmp_path: Path):
    for example in ({}, {"images": "absent.idx"}):
        results = check_component("dataset", "idx", REGISTRY, example=example, folder=tmp_path)
        skipped = [result for result in results if result.skipped]
        assert len(skipped) == 1
        assert skipped[0].message.startswith("skipped: needs files")
        assert not skipped[0].passed
        assert not any(result.failed for result in results)
        assert "take" not in [result.check for result in results]


def test_a_package_is_checked_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("aerepr.conformance.run.KINDS", ("traversal", "prior"))
    results = check_package("aerepr", REGISTRY)
    found = {(result.kind, result.name) for result in results}
    assert found == {
        (kind, name) for kind, name in COMPONENTS if kind in ("traversal", "prior") and "probe" not in name
    }
    assert all(result.passed for result in results)


def test_what_is_not_there_is_said():
    with pytest.raises(UsageError, match='package "absent" announces no component here; these do: aerepr'):
        check_package("absent", REGISTRY)
    with pytest.raises(UsageError, match='no kind "colour"'):
        check_component("colour", "red", REGISTRY)
    with pytest.raises(UnknownComponent, match='did you mean "conv"'):
        check_component("encoder", "cnov", REGISTRY)


def test_assert_conforms_lists_what_fails(tmp_path: Path):
    with pytest.raises(AssertionError, match='encoder "mlp" breaks its contract:\n  defaults: the spec is not valid'):
        assert_conforms("encoder", "mlp", REGISTRY, example={"width": 0}, folder=tmp_path)
