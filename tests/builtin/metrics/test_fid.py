"""FID on the real network with random weights: what goes in, what comes out, what is kept, and files that are refused."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.testing import assert_close

from aerepr.builtin.metrics import fid
from aerepr.builtin.metrics.fid import FID, FIDSpec, Inception
from aerepr.errors import AereprError, DataError, MissingExtra, SpecError
from aerepr.layers.frechet import frechet_distance
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.rundir.layout import RunDirectory
from aerepr.sampling.component import component_spec
from aerepr.sampling.sample import decode, draw, encode
from aerepr.workflows.assemble import open_run
from tests.layers.test_frechet import gaussian, random_covariance


@pytest.fixture(scope="module")
def view(tiny_run: Path) -> View:
    return open_run(RunDirectory(tiny_run))


@pytest.fixture(scope="module")
def extractor() -> type[nn.Module]:
    try:
        pytest.importorskip("torchvision")
    except RuntimeError:
        # PyPI's torchvision cannot load its binary beside PyTorch's CPU build, and its Python part asks for two operators of
        # that binary. Nothing here uses them: declared, they let the rest load.
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
    return pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3


@pytest.fixture(scope="module")
def weights(extractor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in a file of the published one's layout, scaled so that features are of the order of 1."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(extractor, "load_state_dict", lambda self, state: None)
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        network = extractor("random", ["2048"], feature_extractor_weights_path=nothing)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spec(weights: Path, **settings: object) -> FIDSpec:
    return FIDSpec.model_validate(
        {"name": "fid", "weights": str(weights), "sha256": digest(weights), "rows": 6, "samples": 5, **settings}
    )


def compute(view: View, spec: FIDSpec) -> dict[str, float]:
    with torch.no_grad():
        return FID(spec).compute(view)


def slow(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of few rows: the singular values of the roots' product are those of the inner products of centred rows."""
    a, b = (features.double().numpy() for features in (a, b))
    u, v = ((rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (a, b))
    shared = np.linalg.svd(u @ v.T, compute_uv=False).sum()
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + (u**2).sum() + (v**2).sum() - 2 * shared)


# The network.


def test_the_network_is_the_library_s_up_to_its_last_pooling_layer(extractor, weights):
    library = extractor("as published", ["2048"], feature_extractor_weights_path=str(weights)).eval()
    pixels = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (expected,) = library(pixels)
        found = Inception(weights, digest(weights)).network((pixels.float() - 128) / 128).flatten(1)
    assert expected.std() > 0.01
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_images_go_in_as_floats_bilinear_in_three_channels(weights):
    inception = Inception(weights, digest(weights))
    grey = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    large = nn.functional.interpolate(grey.clamp(0, 1).repeat(1, 3, 1, 1), size=(299, 299), mode="bilinear")
    with torch.no_grad():
        assert_close(inception(grey), inception.network(large * 2 - 1).flatten(1))
    assert inception.network.training is False


def test_the_generator_is_left_alone(weights):
    before = torch.get_rng_state()
    Inception(weights, digest(weights))
    assert torch.equal(before, torch.get_rng_state())


def test_the_distance_is_the_library_s(extractor):
    library = pytest.importorskip("torch_fidelity.metric_fid")
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(500, 30)) @ random_covariance(generator, 30) + shift for shift in (0, 2)]
    statistics = [library.fid_features_to_statistics(torch.from_numpy(rows)) for rows in features]
    expected = library.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    found = frechet_distance(*(gaussian(item["mu"], item["sigma"]) for item in statistics))
    assert found == pytest.approx(expected, rel=1e-8)


# A run.


@pytest.mark.full  # roots of matrices of 2,048 columns take seconds each
def test_a_number_for_reconstructions_and_every_sampler(view, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("AEREPR_CACHE", str(tmp_path))
    found = compute(view, spec(weights, seed=3))
    inception = Inception(weights, digest(weights))
    x = torch.cat([batch.first for batch in view.evaluated()])[:6]
    suffix = f"@rows=6,samples=5,weights={digest(weights)[:8]}"
    with torch.no_grad():
        data = inception(x)
        expected = {"reconstruction": slow(data, inception(decode(view, encode(view, x))))}
        for name, sampler in view.samplers().items():
            expected[name] = slow(data, inception(draw(view, 5, 3, sampler).values))
    assert found == {f"fid.{name}{suffix}": pytest.approx(value, rel=1e-4) for name, value in expected.items()}


def test_moments_of_the_data_are_kept_by_content(view, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("AEREPR_CACHE", str(tmp_path))
    asked = spec(weights, rows=3, samples=2)
    inception = Inception(weights, digest(weights))
    with torch.no_grad():
        first = FID(asked)._data(view, inception)
        (kept,) = (tmp_path / "fid").iterdir()
        with monkeypatch.context() as patch:
            patch.setattr(Inception, "__call__", lambda self, images: pytest.fail("computed again"))
            again = FID(asked)._data(view, inception)
        # Other rows are another file; a damaged one is made again.
        FID(spec(weights, rows=2, samples=2))._data(view, inception)
        assert len(list((tmp_path / "fid").iterdir())) == 2
        kept.write_bytes(kept.read_bytes()[:1000])
        anew = FID(asked)._data(view, inception)
    for moments in (again, anew):
        assert moments.count == 3
        assert torch.equal(moments.mean_F, first.mean_F)
        assert torch.equal(moments.scatter_FF, first.scatter_FF)


# What is refused.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Tensors that belong to no network."""
    path = tmp_path / "small.pth"
    torch.save({"a": torch.zeros(3)}, path)
    return path


def test_missing_weights_are_asked_for(view, tmp_path):
    with pytest.raises(SpecError, match=r"name the file of Inception weights \(pt_inception-2015-12-05-6726825d.pth\)"):
        component_spec(Registry(), "metric", "fid", {})
    with pytest.raises(DataError, match="absent.pth: no such file; expected the Inception weights"):
        compute(view, FIDSpec(name="fid", weights=str(tmp_path / "absent.pth")))


def test_another_file_than_the_published_weights_is_refused(view, file):
    with pytest.raises(
        DataError, match=f"SHA-256 begins with {digest(file)[:8]}, expected 6726825d: name pt_inception"
    ):
        compute(view, FIDSpec(name="fid", weights=str(file)))


def test_tensors_of_another_network_are_refused(view, file, extractor):
    with pytest.raises(DataError, match="not those of the Inception network.*Missing key"):
        compute(view, spec(file))


class Unpickled:
    """Raises when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("content", [{"a": Unpickled()}, [torch.zeros(3)], {"a": 3}], ids=["code", "list", "number"])
def test_a_file_that_holds_more_than_tensors_is_refused(view, file, content):
    torch.save(content, file)
    with pytest.raises(DataError, match="small.pth: (not a file of tensors alone|found something else than tensors)"):
        compute(view, spec(file))


def test_a_library_that_cannot_be_imported_is_asked_for(view, file, monkeypatch):
    # None stands for a module that is not there.
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MissingExtra, match="torch-fidelity, which is not installed"):
        compute(view, spec(file))


def test_a_torchvision_for_another_torch_is_named(view, file, tmp_path, monkeypatch):
    # What importing PyPI's torchvision raises beside PyTorch's CPU build; whether it does depends on where this test runs.
    package = tmp_path / "torch_fidelity"
    package.mkdir()
    (package / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch_fidelity"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AereprError, match=r"beside torch .* \(operator torchvision::nms does not exist\): install the"):
        compute(view, spec(file))


def test_a_damaged_file_is_refused(view, file):
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="not a file of tensors alone"):
        compute(view, spec(file))


def test_fewer_rows_than_the_protocol_s_are_refused_before_any_is_judged(view, weights, monkeypatch):
    monkeypatch.setattr(Inception, "__call__", lambda self, images: pytest.fail("judged"))
    with pytest.raises(DataError, match="found 40 rows, expected 50000: ask for more with --rows 50000"):
        compute(view, spec(weights, rows=50_000))


def test_counts_of_one_and_data_without_pictures_are_refused(view, file, tiny_vector_run):
    with pytest.raises(DataError, match="samples = 1, expected 2 or more"):
        compute(view, spec(file, samples=1))
    with pytest.raises(DataError, match="vector 2, expected images of 1 or 3 channels: use the metric frechet"):
        compute(open_run(RunDirectory(tiny_vector_run)), spec(file))


def test_settings_that_cannot_be_meant(file):
    with pytest.raises(ValidationError, match="sha256"):
        spec(file, sha256="6726")


def test_only_the_protocol_s_own_counts_and_weights_have_bare_keys(file):
    published = FIDSpec(name="fid", weights="anywhere")
    assert FID(published)._suffix == ""
    whole = published.model_copy(update={"sha256": fid.PUBLISHED + "0" * 56})
    assert FID(whole)._suffix == ""
    assert FID(spec(file, rows=50_000))._suffix == f"@samples=5,weights={digest(file)[:8]}"
