"""The card: what it says, and that it is refused once a file is not the one it describes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerepr.errors import ExportError
from aerepr.export.card import Card, golden_stride, read_card, shortest, write_card
from aerepr.export.load import load_decoder
from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, Encode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry

FILES = {f"{name}.onnx" for name in ("decoder", "sampler", "velocity", "encoder")}
FILES |= {f"{name}.pt2" for name in ("decode", "sample", "velocity", "encode")}
FILES |= {f"{name}.ts" for name in ("decoder", "velocity", "encoder")}


@pytest.fixture
def folder(image_export: Path, tmp_path: Path) -> Path:
    return shutil.copytree(image_export, tmp_path / "copy")


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the card with something changed."""
    tables = json.loads((folder / "card.json").read_text())
    edit(tables)
    (folder / "card.json").write_text(json.dumps(tables))


def test_says_what_the_run_is(image_export: Path, image_run: View):
    card = read_card(image_export)
    assert (card.name, card.recipe, card.spec_hash) == ("toy-image", "toy-3", image_run.spec.hash())
    assert card.torch == torch.__version__
    assert (card.data.kind, card.data.sizes, card.data.range) == ("image", (3, 8, 8), (0.0, 1.0))
    assert [(item.name, item.start, item.stop) for item in card.layout] == [("z1", 0, 2), ("z2", 2, 4), ("z3", 4, 6)]
    assert (card.sampler.name, card.sampler.noise, card.sampler.noise_dim) == ("hybrid", "uniform", 3)
    assert card.graphs["decoder"].inputs == {"z": ("batch", 6)}
    assert card.graphs["decoder"].outputs == {"image": ("batch", 3, 8, 8)}
    assert card.graphs["velocity"].inputs == {"z": ("batch", 6), "t": ()}
    assert card.graphs["encoder"].inputs == {"x": ("batch", 3, 8, 8)}
    assert card.graphs["encoder"].outputs == {"z": ("batch", 6)}
    assert list(card.graphs) == ["decoder", "sampler", "velocity", "encoder"]
    assert set(card.files) == FILES
    assert {entry.opset for name, entry in card.files.items() if name.endswith(".onnx")} == {20}
    assert max(entry.max_abs_diff for entry in card.files.values()) <= 1e-5


def test_sliders_span_the_codes(image_export: Path, image_run: View):
    codes = read_card(image_export).codes
    assert [code.min for code in codes] == image_run.codes.amin(dim=0).tolist()
    assert [code.max for code in codes] == image_run.codes.amax(dim=0).tolist()
    np.testing.assert_allclose([code.mean for code in codes], image_run.codes.mean(dim=0), atol=1e-6)


def test_golden_pair_is_the_models_in_double_precision(image_export: Path, image_run: View):
    golden = read_card(image_export).golden
    noise = sample_noise(1, 3, 0, "uniform")
    z = image_run.sampler(noise)
    assert np.array_equal(np.float32([golden.noise]), noise.numpy())
    assert np.array_equal(np.float32([golden.z]), z.numpy())
    image = standalone(Decode(image_run.model)).double()(z.double()).float().flatten().numpy()
    assert golden.stride == 1
    assert np.array_equal(np.float32(golden.output), image)
    codes = standalone(Encode(image_run.model)).double()(torch.from_numpy(image).reshape(1, 3, 8, 8).double())
    assert np.array_equal(np.float32([golden.encoded]), codes.float().numpy())


def test_a_golden_pair_that_is_thinned_out_is_one_an_encoder_can_check(
    image_run: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of a large image only some values are in the card; the encoder is asked about those, each several times."""
    monkeypatch.setattr("aerepr.export.write.golden_stride", lambda count: 5)
    export_run(image_run, tmp_path / "exports", ["onnx"], Registry(), parts=["encoder"])
    golden = read_card(tmp_path / "exports").golden
    assert (golden.stride, len(golden.output)) == (5, 39)  # of 192
    assert load_decoder(tmp_path / "exports").card.golden == golden
    x = torch.tensor(golden.output).repeat_interleave(5)[:192].reshape(1, 3, 8, 8)
    codes = standalone(Encode(image_run.model)).double()(x.double())
    assert np.array_equal(np.float32([golden.encoded]), codes.float().numpy())


def test_no_path_of_this_machine(image_export: Path):
    text = (image_export / "card.json").read_text()
    assert not [word for word in (str(Path.cwd()), str(Path.home()), "site-packages") if word in text]


def test_write_then_read_is_the_identity(folder: Path):
    card = read_card(folder)
    write_card(card, folder)
    assert read_card(folder) == card


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_file_is_refused_by_name(folder: Path, name: str):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ExportError, match=rf"{name} is not the file card.json describes"):
        read_card(folder)


def test_a_truncated_file_is_refused(folder: Path):
    data = (folder / "decoder.onnx").read_bytes()
    (folder / "decoder.onnx").write_bytes(data[:-100])
    with pytest.raises(
        ExportError, match=rf"decoder.onnx has {len(data) - 100} bytes, expected {len(data)}: it is truncated"
    ):
        read_card(folder)


def test_a_missing_file_is_refused(folder: Path):
    (folder / "sampler.onnx").unlink()
    with pytest.raises(ExportError, match="sampler.onnx is missing"):
        read_card(folder)


def test_a_folder_without_card_is_refused(tmp_path: Path):
    with pytest.raises(ExportError, match="holds no card.json"):
        read_card(tmp_path)


def test_a_damaged_card_is_refused(folder: Path):
    text = (folder / "card.json").read_text()
    (folder / "card.json").write_text(text[:500])
    with pytest.raises(ExportError, match="is damaged"):
        read_card(folder)


def test_a_card_of_another_version_is_refused(folder: Path):
    change(folder, lambda tables: tables.update(card=2))
    with pytest.raises(ExportError, match=r"card: Input should be 1"):
        read_card(folder)


@pytest.mark.parametrize("name", ["../decoder.onnx", "/etc/hostname", "a/../../b"])
def test_a_file_outside_the_folder_is_refused(folder: Path, name: str):
    change(folder, lambda tables: tables["files"].update({name: tables["files"]["decoder.onnx"]}))
    with pytest.raises(ExportError, match="outside its folder"):
        read_card(folder)


def test_unknown_keys_are_left_for_later_versions(folder: Path):
    change(folder, lambda tables: tables.update(colour="red"))
    assert isinstance(read_card(folder), Card)


def test_shortest_reads_back_to_the_same_bits():
    values = np.float32([0.1, 1 / 3, 1e-38, -1.2345678e-30, 0.0, 16777216.0])
    assert np.array_equal(np.float32(shortest(values)), values)
    assert shortest(np.float32([0.1])) == (0.1,)


def test_golden_output_stays_under_a_megabyte():
    assert golden_stride(3 * 128 * 128) == 1
    count = 3 * 1024 * 1024
    values = np.full(len(range(0, count, golden_stride(count))), -1.2345678e-30, np.float32)
    assert len(json.dumps(shortest(values))) <= 1_000_000
