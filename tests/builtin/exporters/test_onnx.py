"""ONNX files: the eager model's numbers at any batch size, documented, the same bytes again, nothing of this machine."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from aerepr.builtin.exporters.onnx import ONNXExporter, ONNXSpec, convert, onnx_runner
from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported
from aerepr.layers.exportable import Decode, graphs, standalone, verify
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

Files = tuple[Path, list[Exported]]


def exporter() -> ONNXExporter:
    return ONNXExporter(ONNXSpec(name="onnx"))


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


class Frozen(nn.Module):
    """Takes the batch size for a constant, in a way each format freezes."""

    def forward(self, z: Tensor) -> Tensor:
        return z * float(np.sqrt(int(z.shape[0])))


def test_writes_one_file_a_graph(onnx_files: Files):
    folder, exported = onnx_files
    assert [item.file for item in exported] == ["decoder.onnx", "sampler.onnx", "velocity.onnx"]
    assert {path.name for path in folder.iterdir()} == {item.file for item in exported}
    assert all(item.max_abs_diff <= 1e-5 for item in exported)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_decoder_is_the_eager_model(onnx_files: Files, image_run: View, batch: int):
    z = 2 * torch.randn(batch, 6, generator=torch.Generator().manual_seed(batch))
    (found,) = session(onnx_files[0] / "decoder.onnx").run(["image"], {"z": z.numpy()})
    np.testing.assert_allclose(found, standalone(Decode(image_run.model))(z), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_sampler_is_the_eager_sampler(onnx_files: Files, image_run: View, batch: int):
    noise = sample_noise(batch, 3, 9, "uniform")
    noise[0] = 1 - 2.0**-24  # the largest uniform: the last row of the bank, never beyond it
    (found,) = session(onnx_files[0] / "sampler.onnx").run(["z"], {"noise": noise.numpy()})
    np.testing.assert_array_equal(found, image_run.sampler(noise))


def test_an_entry_of_the_objective_is_written(onnx_files: Files, image_run: View):
    z, t = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    found = session(onnx_files[0] / "velocity.onnx").run(None, {"z": z.numpy(), "t": t.numpy()})
    for value, expected in zip(found, image_run.objective.velocity(z, t), strict=True):
        np.testing.assert_allclose(value, expected.detach(), atol=1e-5)


def test_nothing_of_this_machine_stays(onnx_files: Files):
    words = [
        "/aerepr",
        "/tests",
        "site-packages",
        'File "',
        ".py",
        "stack_trace",
        "__main__",
        "pkg.torch",
        socket.gethostname(),
    ]
    words += [str(Path.cwd()), str(Path.home()), str(Path(torch.__file__).parent), str(onnx_files[0])]
    for item in onnx_files[1]:
        data = (onnx_files[0] / item.file).read_bytes()
        assert not [word for word in words if word.encode() in data], item.file


def test_the_encoder_stays_out(onnx_files: Files):
    weights = onnx.load(onnx_files[0] / "decoder.onnx").graph.initializer
    assert not [weight.name for weight in weights if "encoder" in weight.name]


def test_says_what_it_is(onnx_files: Files, image_run: View):
    model = onnx.load(onnx_files[0] / "decoder.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert model.producer_name == "aerepr"
    assert properties["recipe"] == "toy-3"
    assert properties["spec_hash"] == image_run.spec.hash()
    assert json.loads(properties["layout"]) == [["z1", 0, 2], ["z2", 2, 4], ["z3", 4, 6]]
    assert [entry.version for entry in model.opset_import] == [20]
    assert [(value.name, value.doc_string) for value in model.graph.input] == [("z", "z: float32 (batch, 6)")]
    assert [(value.name, value.doc_string) for value in model.graph.output] == [
        ("image", "image: float32 (batch, 3, 8, 8)")
    ]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_same_run_gives_the_same_bytes(onnx_files: Files, toy: ModuleType):
    run = toy.image_run()
    for graph in graphs(run.model, run.sampler, run.codes, True, run.objective.exports())[:2]:
        data = (onnx_files[0] / f"{graph.name}.onnx").read_bytes()
        properties = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
        assert convert(graph, properties) == data, graph.name


def test_is_quiet_and_leaves_the_model_as_it_was(
    toy: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    run = toy.vector_run()
    run.system.train()
    caplog.set_level(logging.INFO, logger="torch.onnx")
    before = torch.get_rng_state()
    exported = exporter().write(run, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert logging.getLogger("torch.onnx").level == logging.INFO
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in run.system.modules())
    assert all(parameter.requires_grad for parameter in run.system.parameters())
    assert [item.file for item in exported] == ["decoder.onnx", "sampler.onnx"]
    assert [value.name for value in session(tmp_path / "decoder.onnx").get_outputs()] == ["x"]


def test_other_weights_are_refused(onnx_files: Files, toy: ModuleType):
    run = toy.image_run()
    with torch.no_grad():
        run.model.decoder.out.bias += 1e-3
    decoder = graphs(run.model, run.sampler, run.codes, True, {})[0]
    with pytest.raises(ExportError, match="decoder differs from the eager model"):
        verify(decoder, onnx_runner((onnx_files[0] / "decoder.onnx").read_bytes()))


def test_a_graph_that_freezes_the_batch_is_refused_and_not_written(toy: ModuleType, tmp_path: Path):
    class Bad(toy.Plain):
        def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
            return {"frozen": (Frozen(), (torch.ones(2, 6),))}

    with pytest.raises(ExportError, match="frozen"):
        exporter().write(toy.vector_run(Bad()), tmp_path)
    assert not (tmp_path / "frozen.onnx").exists()


def test_what_onnx_cannot_say_is_an_export_error(image_run: View):
    class Bessel(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.special.bessel_j0(z)

    extra = {"bessel": (Bessel(), (torch.ones(3, 1),))}
    graph = graphs(image_run.model, image_run.sampler, image_run.codes, True, extra)[-1]
    with pytest.raises(ExportError, match="bessel cannot be exported to ONNX: .*bessel_j0"):
        convert(graph, {})
