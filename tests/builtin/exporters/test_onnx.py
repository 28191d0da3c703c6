"""ONNX files: the eager model's numbers at any batch size, documented, the same bytes again, nothing of this machine."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.external_data_helper import uses_external_data
from torch import Tensor, nn

from aerepr.builtin.exporters import onnx as onnx_exporter
from aerepr.builtin.exporters.onnx import ONNXExporter, ONNXSpec, compared, convert, onnx_runner, with_half_weights
from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported
from aerepr.layers.exportable import Decode, graphs, standalone, verify
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

Files = tuple[Path, list[Exported]]

# Runs of the toy and of what ships: which function makes them, here and in another process, and the parts that are looked at.
RUNS = {
    "toy": ("tests.export.toy", "image_run", ("decoder", "sampler", "velocity")),
    "sae": ("tests.export.shipped", "structural_run", ("decoder", "sampler", "encoder")),
}


def exporter() -> ONNXExporter:
    return ONNXExporter(ONNXSpec(name="onnx"))


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=["toy", pytest.param("sae", marks=pytest.mark.full)])
def made(
    request: pytest.FixtureRequest, onnx_files: Files, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[Exported]]:
    """Which of `RUNS`, and its files."""
    if request.param == "toy":
        return ("toy", *onnx_files)
    folder = tmp_path_factory.mktemp("onnx")
    spec = ONNXSpec(name="onnx", parts=RUNS[request.param][2])
    return request.param, folder, ONNXExporter(spec).write(anew(request.param), folder)


def anew(kind: str) -> View:
    module, function, _ = RUNS[kind]
    return getattr(importlib.import_module(module), function)()


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


def test_nothing_of_this_machine_stays(made: tuple[str, Path, list[Exported]]):
    _, folder, exported = made
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
    words += [str(Path.cwd()), str(Path.home()), str(Path(torch.__file__).parent), str(folder)]
    for item in exported:
        model = onnx.load(folder / item.file)
        # Among a million bytes of weights a short word is found by chance.
        for weight in model.graph.initializer:
            weight.ClearField("raw_data")
        data = model.SerializeToString()
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


def test_every_file_is_whole_documented_and_for_any_batch(made: tuple[str, Path, list[Exported]]):
    kind, folder, exported = made
    assert {path.name for path in folder.iterdir()} == {f"{part}.onnx" for part in RUNS[kind][2]}
    for item in exported:
        model = onnx.load(folder / item.file, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        assert [entry.version <= 20 for entry in model.opset_import if not entry.domain] == [True]
        assert not [weight.name for weight in model.graph.initializer if uses_external_data(weight)]
        assert {entry.key for entry in model.metadata_props} == {"recipe", "spec_hash", "layout"}
        assert model.doc_string == item.purpose
        for value in [*model.graph.input, *model.graph.output]:
            sizes = value.type.tensor_type.shape.dim
            assert value.doc_string.startswith(f"{value.name}: float32 (")
            assert not sizes or sizes[0].dim_param == "batch"
            assert all(size.dim_value > 0 for size in sizes[1:])


def test_a_host_is_told_of_codes_of_another_width(onnx_files: Files):
    with pytest.raises(Exception, match="invalid dimensions for input: z"):
        session(onnx_files[0] / "decoder.onnx").run(None, {"z": np.zeros((2, 5), np.float32)})


def test_what_is_not_a_number_stays_one_and_stays_in_its_row(onnx_files: Files):
    z = np.zeros((3, 6), np.float32)
    z[1, 4] = np.nan
    (found,) = session(onnx_files[0] / "decoder.onnx").run(None, {"z": z})
    assert np.isnan(found[1]).all()
    assert np.array_equal(found[0], found[2])
    assert np.isfinite(found[0]).all()


def test_the_same_run_gives_the_same_bytes(made: tuple[str, Path, list[Exported]]):
    kind, folder, _ = made
    run, parts = anew(kind), [part for part in RUNS[kind][2] if part != "velocity"]
    for graph in graphs(run.model, run.sampler, run.codes, True, {}, parts):
        data = (folder / f"{graph.name}.onnx").read_bytes()
        properties = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
        assert convert(graph, properties) == data, graph.name


@pytest.mark.full
@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_gives_the_same_bytes(made: tuple[str, Path, list[Exported]], tmp_path: Path, seed: str):
    """Neither the order of sets nor an address in memory reaches a file."""
    kind, folder, exported = made
    module, function, parts = RUNS[kind]
    code = (
        "from pathlib import Path; from aerepr.builtin.exporters.onnx import ONNXExporter, ONNXSpec\n"
        f"from {module} import {function}\n"
        f"ONNXExporter(ONNXSpec(name='onnx', parts={parts})).write({function}(), Path({str(tmp_path)!r}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
    command, root = [sys.executable, "-c", code], Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for item in exported:
        hashes = {hashlib.sha256((place / item.file).read_bytes()).hexdigest() for place in (folder, tmp_path)}
        assert len(hashes) == 1, item.file


def test_half_precision_stores_weights_in_half_the_bits(onnx_files: Files, image_run: View, tmp_path: Path):
    exported = ONNXExporter(ONNXSpec(name="onnx", precision="fp16")).write(image_run, tmp_path)
    assert {item.file: item.rounding is None for item in exported} == {
        "decoder.onnx": False,
        "sampler.onnx": True,
        "velocity.onnx": False,
    }
    # Codes are drawn from the bank, and none but its own values may appear.
    assert (tmp_path / "sampler.onnx").read_bytes() == (onnx_files[0] / "sampler.onnx").read_bytes()
    half, full = (
        {w.name: w for w in onnx.load(f / "decoder.onnx").graph.initializer} for f in (tmp_path, onnx_files[0])
    )
    for name, weight in full.items():
        value = onnx.numpy_helper.to_array(weight)
        if value.dtype == np.float32 and value.ndim >= 2:
            found = onnx.numpy_helper.to_array(half[f"{name}.fp16"])
            assert np.array_equal(found, value.astype(np.float16))
        else:
            assert np.array_equal(onnx.numpy_helper.to_array(half[name]), value)
    assert {f"model.decoder.{part}.weight.fp16" for part in ("stem", "conv", "out")} < set(half)


def test_half_precision_states_its_own_distance_from_the_eager_model(image_run: View, tmp_path: Path):
    exported = ONNXExporter(ONNXSpec(name="onnx", precision="fp16", parts=("decoder", "encoder"))).write(
        image_run, tmp_path
    )
    z = graphs(image_run.model, image_run.sampler, image_run.codes, True, {}, ["decoder"])[0].inputs["z"]
    (found,) = session(tmp_path / "decoder.onnx").run(["image"], {"z": z.numpy()})
    error = np.abs(found - standalone(Decode(image_run.model))(z).numpy()).astype(np.float64)
    decoder, encoder = (item.rounding for item in exported)
    assert decoder.psnr == pytest.approx(-10 * np.log10((error**2).mean()), abs=0.01)
    assert exported[0].max_abs_diff == pytest.approx(error.max(), rel=1e-3)
    assert 60 < decoder.psnr < 120
    assert 1e-5 < exported[0].max_abs_diff < 1e-3
    assert encoder.psnr > 60
    ONNXExporter(ONNXSpec(name="onnx", parts=("decoder",))).write(image_run, tmp_path)
    assert decoder.full_bytes == (tmp_path / "decoder.onnx").stat().st_size


def test_the_time_of_rounded_weights_is_that_of_calls_in_turns(image_run: View):
    decoder = graphs(image_run.model, image_run.sampler, image_run.codes, True, {}, ["decoder"])[0]
    calls: list[str] = []

    def call(name: str, seconds: float):
        def run(inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
            calls.append(name)
            assert len(inputs[0]) == 1
            time.sleep(seconds)
            return []

        return run

    assert onnx_exporter._time_ratio(decoder.example(1), call("slow", 0.004), call("quick", 0.001)) > 1.5
    assert calls == ["slow", "quick"] * (onnx_exporter.TURNS + onnx_exporter.WARM_UP)


@pytest.mark.parametrize(("part", "factor"), [("stem", 1e6), ("out", 1e4)], ids=["infinite", "coarse"])
def test_weights_that_half_precision_cannot_hold_are_refused(toy: ModuleType, part: str, factor: float):
    run = toy.image_run()
    with torch.no_grad():
        getattr(run.model.decoder, part).weight *= factor
    decoder = graphs(run.model, run.sampler, run.codes, True, {}, ["decoder"])[0]
    with pytest.raises(ExportError, match="decoder loses too much with weights in fp16.*export it in fp32"):
        compared(decoder, full := convert(decoder, {}), with_half_weights(full))


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


def test_mish_is_exact_everywhere_and_has_no_slow_logarithm(image_run: View):
    class Activation(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.mish(x)

    x = torch.cat([torch.linspace(-30, 30, 6001), torch.tensor([-3e38, -1e3, -88.0, 0.0, 88.0, 89.0, 1e3, 3e38])])[
        :, None
    ]
    extra = {"mish": (Activation(), (x,))}
    graph = graphs(image_run.model, image_run.sampler, image_run.codes, True, extra, ["mish"])[0]
    data = convert(graph, {})
    assert "Softplus" not in {node.op_type for node in onnx.load_from_string(data).graph.node}
    (found,) = onnx_runner(data)((x,))
    torch.testing.assert_close(found, nn.functional.mish(x), rtol=1e-6, atol=1e-7)


def test_group_norm_and_unbinding_are_exact_and_take_few_operations(image_run: View):
    class Grouped(nn.Module):
        """GroupNorm of images with an affine map, of vectors without one."""

        def __init__(self) -> None:
            super().__init__()
            self.scale, self.shift = torch.linspace(0.5, 2, 4), torch.linspace(-1, 1, 4)

        def forward(self, x: Tensor) -> Tensor:
            top, middle, _ = torch.group_norm(x, 2, self.scale, self.shift, 1e-3).unbind(2)
            return top.flatten(1) * torch.group_norm(middle.flatten(1), 4, None, None, 1e-5)

    x = torch.randn(9, 4, 3, 2, generator=torch.Generator().manual_seed(0)) + 3
    graph = graphs(
        image_run.model, image_run.sampler, image_run.codes, True, {"grouped": (Grouped(), (x,))}, ["grouped"]
    )[0]
    data = convert(graph, {})
    assert not {node.op_type for node in onnx.load_from_string(data).graph.node} & {"Shape", "Slice", "Squeeze"}
    verify(graph, onnx_runner(data))
