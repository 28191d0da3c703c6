"""A decoder from files: the eager model's numbers, clear refusals, no torch for ONNX."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aerepr.errors import ExportError, ShapeError, UsageError
from aerepr.export import load
from aerepr.export.card import read_card, sha256
from aerepr.export.load import CHUNK, Decoder, load_decoder
from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry


@pytest.fixture(scope="module", params=["onnx", "torchscript", "pt2"])
def decoder(image_export: Path, request: pytest.FixtureRequest) -> Decoder:
    return load_decoder(image_export, trust=True, format=request.param)


@pytest.fixture
def folder(image_export: Path, tmp_path: Path) -> Path:
    return shutil.copytree(image_export, tmp_path / "copy")


def forge(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes in a file and let the card agree with them."""
    (folder / name).write_bytes(data)
    tables = json.loads((folder / "card.json").read_text())
    tables["files"][name].update(sha256=sha256(folder / name), bytes=len(data))
    (folder / "card.json").write_text(json.dumps(tables))


@pytest.mark.parametrize("batch", [1, 7, 64, CHUNK + 3])
def test_decode_is_the_eager_models(decoder: Decoder, image_run: View, batch: int):
    z = torch.randn(batch, 6, generator=torch.Generator().manual_seed(batch))
    found = decoder.decode(z.numpy())
    assert (found.shape, found.dtype) == ((batch, 3, 8, 8), np.float32)
    np.testing.assert_allclose(found, standalone(Decode(image_run.model))(z), atol=1e-5)


def test_sample_is_the_eager_models(decoder: Decoder, image_run: View):
    z = image_run.sampler(sample_noise(9, 3, 5, "uniform"))
    np.testing.assert_array_equal(decoder.draw(9, 5), z)
    many = image_run.sampler(sample_noise(2 * CHUNK + 3, 3, 5, "uniform"))
    np.testing.assert_array_equal(decoder.draw(2 * CHUNK + 3, 5), many)
    np.testing.assert_allclose(decoder.sample(9, 5), standalone(Decode(image_run.model))(z), atol=1e-5)


@pytest.mark.parametrize("form", ["onnx", "torchscript", "pt2"])
def test_vectors_come_in_data_units(vector_export: Path, vector_run: View, form: str):
    decoder = load_decoder(vector_export, trust=True, format=form)
    z = vector_run.sampler(sample_noise(20, 6, 2, "normal"))
    np.testing.assert_allclose(decoder.draw(20, 2), z, atol=1e-5)
    x = decoder.sample(20, 2)
    np.testing.assert_allclose(x, vector_run.model.decode(z).detach(), atol=1e-3)
    if form == "onnx":
        np.testing.assert_allclose(decoder.encode(x), vector_run.model.encode(torch.from_numpy(x)).detach(), atol=1e-4)
    assert abs(decoder.sample(20, 2)[:, 3].mean() - 100) < 10


def test_sampling_is_a_function_of_the_seed(decoder: Decoder):
    np.testing.assert_array_equal(decoder.draw(8, 1)[:3], decoder.draw(3, 1))
    np.testing.assert_allclose(decoder.sample(8, 1)[:3], decoder.sample(3, 1), atol=1e-6)
    assert not np.array_equal(decoder.draw(8, 1), decoder.draw(8, 2))
    assert decoder.sample(0).shape == (0, 3, 8, 8)
    assert decoder.decode(np.zeros((0, 6))).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("form", ["onnx", "torchscript", pytest.param("pt2", marks=pytest.mark.full)])
def test_hybrid_samples_are_of_the_bank_and_uniform_over_it(
    form: str, real_export: Path, real_run: View, tmp_path: Path
):
    folder = real_export
    if form == "pt2":
        folder = tmp_path / "exports"
        export_run(real_run, folder, ["pt2"], Registry(), parts=["sampler"])
    bank, count = real_run.sampler.bank_SD.numpy(), 20_000
    assert bank.shape == (128, 6)
    assert set(bank[:, 0]) < set(real_run.codes[:, 0].tolist())
    z = load_decoder(folder, trust=True, format=form).draw(count, 1)
    drawn = []
    for variable in real_run.layout:
        part = slice(variable.start, variable.stop)
        row_of = {row.tobytes(): index for index, row in enumerate(bank[:, part])}
        assert len(row_of) == len(bank)
        drawn.append([row_of[row.tobytes()] for row in np.ascontiguousarray(z[:, part])])  # KeyError: not of the bank
    rows = np.array(drawn)
    # Chi-square of each variable, and of each pair together: 5 deviations are less than one in a million.
    first, second, third = rows
    for cells, sizes in [
        *((row, len(bank)) for row in rows),
        *((a * len(bank) + b, len(bank) ** 2) for a, b in ((first, second), (second, third), (first, third))),
    ]:
        expected = count / sizes
        statistic = ((np.bincount(cells, minlength=sizes) - expected) ** 2 / expected).sum()
        assert abs(statistic - (sizes - 1)) < 5 * np.sqrt(2 * (sizes - 1))


def test_lists_and_float64_are_taken(decoder: Decoder):
    z = [[0.0, 1, 2, 3, 4, 5]]
    np.testing.assert_array_equal(decoder.decode(z), decoder.decode(np.asarray(z, np.float32)))


def test_another_encoder_is_refused_in_every_format(folder: Path):
    """Each format's encoder is held against the golden pair; here the model's output is no longer what that one is of."""
    tables = json.loads((folder / "card.json").read_text())
    tables["golden"]["encoded"] = tables["golden"]["z"]
    (folder / "card.json").write_text(json.dumps(tables))
    for form in ("onnx", "torchscript", "pt2"):
        with pytest.raises(ExportError, match="golden encoded: differs by"):
            load_decoder(folder, trust=True, format=form)


@pytest.mark.parametrize("z", [np.zeros((2, 5)), np.zeros(6), np.zeros((1, 2, 6)), np.float32(0)])
def test_codes_of_another_shape_are_refused(decoder: Decoder, z: np.ndarray):
    with pytest.raises(ShapeError, match=r"z must have shape \(n, 6\).*got \("):
        decoder.decode(z)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_codes_that_are_not_finite_are_refused(decoder: Decoder, bad: float):
    z = np.zeros((4, 6))
    z[2, 1] = bad
    with pytest.raises(UsageError, match="1 of 4 rows, the first is row 2"):
        decoder.decode(z)


@pytest.mark.parametrize("z", ["six", [["a"] * 6], [[1, 2], [3]], None])
def test_what_is_no_numbers_is_refused(decoder: Decoder, z: object):
    with pytest.raises((UsageError, ShapeError), match="z must"):
        decoder.decode(z)


@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (1.5, 0), (True, 0), (2**32 + 1, 0), (1, -1), (1, 2**63), (1, 0.5)])
def test_bad_counts_and_seeds_are_refused(decoder: Decoder, n: int, seed: int):
    with pytest.raises(UsageError, match="whole number"):
        decoder.sample(n, seed)


@pytest.mark.parametrize("form", ["torchscript", "pt2"])
def test_what_can_carry_code_needs_trust(image_export: Path, form: str):
    with pytest.raises(UsageError, match=f"{form} files can carry code.*trust=True"):
        load_decoder(image_export, format=form)


def test_an_unknown_format_is_refused(image_export: Path):
    with pytest.raises(UsageError, match="'pickle'"):
        load_decoder(image_export, trust=True, format="pickle")


def test_a_truncated_file_is_refused(folder: Path):
    (folder / "decoder.onnx").write_bytes((folder / "decoder.onnx").read_bytes()[:1000])
    with pytest.raises(ExportError, match="decoder.onnx has 1000 bytes.*truncated"):
        load_decoder(folder)


@pytest.mark.parametrize(
    ("form", "name"), [("onnx", "decoder.onnx"), ("torchscript", "decoder.ts"), ("pt2", "decode.pt2")]
)
def test_a_file_the_runtime_cannot_read_is_refused(folder: Path, form: str, name: str):
    forge(folder, name, (folder / name).read_bytes()[:1000])
    with pytest.raises(ExportError, match=f"{name} cannot be read by"):
        load_decoder(folder, trust=True, format=form)


def test_a_file_of_another_model_is_refused(folder: Path, vector_export: Path):
    forge(folder, "decoder.onnx", (vector_export / "decoder.onnx").read_bytes())
    with pytest.raises(ExportError, match=r"golden output: expected shape \(1, 192\), got \(1, 4\)"):
        load_decoder(folder)
    forge(folder, "sampler.onnx", (vector_export / "sampler.onnx").read_bytes())
    with pytest.raises(ExportError, match=r"an exported file cannot be run: .*noise"):
        load_decoder(folder)


@pytest.mark.parametrize("key", ["noise", "z", "output", "encoded"])
def test_golden_values_that_do_not_come_out_are_refused(folder: Path, key: str):
    tables = json.loads((folder / "card.json").read_text())
    tables["golden"][key][-1] += 0.02
    (folder / "card.json").write_text(json.dumps(tables))
    with pytest.raises(ExportError, match=f"golden {key}"):
        load_decoder(folder)


def test_a_folder_without_the_format_says_what_to_do(folder: Path):
    tables = json.loads((folder / "card.json").read_text())
    tables["files"] = {name: entry for name, entry in tables["files"].items() if name.endswith(".ts")}
    (folder / "card.json").write_text(json.dumps(tables))
    with pytest.raises(ExportError, match=r"has no file of onnx; card.json lists decoder.ts.*--to onnx"):
        load_decoder(folder)


def test_encode_is_the_eager_models(decoder: Decoder, image_run: View):
    x = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(decoder.encode(x.numpy()), image_run.model.encode(x).detach(), atol=1e-5)
    with pytest.raises(ShapeError, match=r"x must have shape \(n, 3, 8, 8\)"):
        decoder.encode(x[:, :1].numpy())
    with pytest.raises(UsageError, match="x must be finite"):
        decoder.encode(np.full((1, 3, 8, 8), np.nan))


@pytest.mark.parametrize(
    ("form", "part", "works"),
    [
        ("onnx", "decoder", "decode"),
        ("onnx", "sampler", "draw"),
        ("onnx", "encoder", "encode"),
        ("torchscript", "decoder", "decode"),
        ("torchscript", "sampler", "draw"),
        ("torchscript", "encoder", "encode"),
        ("pt2", "sampler", "draw"),
    ],
)
def test_one_part_alone(image_run: View, image_export: Path, tmp_path: Path, form: str, part: str, works: str):
    export_run(image_run, tmp_path / "exports", [form], Registry(), parts=[part])
    alone = load_decoder(tmp_path / "exports", trust=True, format=form)
    decoder = load_decoder(image_export)
    asked = {"decode": np.zeros((2, 6)), "encode": np.zeros((2, 3, 8, 8)), "draw": 3, "sample": 3}
    for name, argument in asked.items():
        if name == works:
            np.testing.assert_allclose(getattr(alone, name)(argument), getattr(decoder, name)(argument), atol=1e-5)
        else:
            with pytest.raises(ExportError, match=r"(decoder|sampler|encoder) was not exported in this format.*--part"):
                getattr(alone, name)(argument)


def test_onnx_decoding_needs_no_torch(image_export: Path):
    code = (
        "import sys; from aerepr.export.load import load_decoder\n"
        f"print(load_decoder({str(image_export)!r}).sample(2, 1).shape); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("(2, 3, 8, 8)", "")


def test_torchscript_is_called_without_specialising_it():
    specialises = torch._C._get_graph_executor_optimize
    assert specialises()
    assert load._as_written(specialises)() is False
    assert specialises()
    assert load._as_written(None) is None


def test_card_is_at_hand(decoder: Decoder, image_export: Path):
    assert decoder.card == read_card(image_export)
