"""Files of torch.export: the eager model's numbers, noise made inside, nothing of this machine, no aerepr needed."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from aerepr.builtin.exporters.pt2 import PT2Exporter, PT2Spec, convert, pt2_runner
from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported
from aerepr.layers.exportable import Decode, graphs, standalone, verify
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

Files = tuple[Path, list[Exported]]


def load(files: Files, name: str) -> Callable[..., tuple[Tensor, ...]]:
    run = pt2_runner((files[0] / name).read_bytes())
    return lambda *inputs: run(inputs)


@pytest.fixture(scope="module")
def sample(pt2_files: Files) -> Callable[..., tuple[Tensor, ...]]:
    return load(pt2_files, "sample.pt2")


def test_writes_one_file_a_function(pt2_files: Files):
    folder, exported = pt2_files
    assert [item.file for item in exported] == ["decode.pt2", "sample.pt2", "velocity.pt2"]
    assert {path.name for path in folder.iterdir()} == {item.file for item in exported}
    assert all(item.max_abs_diff <= 1e-5 for item in exported)
    assert exported[1].use.endswith("seed (), rows (B) to image (B, 3, 8, 8), z (B, 6)")


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_decode_is_the_eager_model(pt2_files: Files, image_run: View, batch: int):
    z = 2 * torch.randn(batch, 6, generator=torch.Generator().manual_seed(batch))
    (found,) = load(pt2_files, "decode.pt2")(z)
    torch.testing.assert_close(found, standalone(Decode(image_run.model))(z), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**63 - 1])
def test_sample_is_the_eager_model_at_the_noise_of_the_seed(
    sample: Callable[..., tuple[Tensor, ...]], image_run: View, seed: int
):
    image, z = sample(torch.tensor(seed), torch.arange(5))
    expected = image_run.sampler(sample_noise(5, 3, seed, "uniform"))
    assert torch.equal(z, expected)
    torch.testing.assert_close(image, standalone(Decode(image_run.model))(expected), rtol=0, atol=1e-5)


def test_any_rows_may_be_had_alone(sample: Callable[..., tuple[Tensor, ...]]):
    seed = torch.tensor(4)
    _, all_of_them = sample(seed, torch.arange(100))
    for rows in ([0], [99], [3, 17, 64, 65]):
        assert torch.equal(sample(seed, torch.tensor(rows))[1], all_of_them[rows])
    image, z = sample(seed, torch.arange(0))
    assert (image.shape, z.shape) == ((0, 3, 8, 8), (0, 6))


def test_normal_noise_is_made_inside(vector_run: View, tmp_path: Path):
    exporter = PT2Exporter(PT2Spec(name="pt2", parts=("sampler",)))
    assert [item.file for item in exporter.write(vector_run, tmp_path)] == ["draw.pt2"]
    run = pt2_runner((tmp_path / "draw.pt2").read_bytes())
    (z,) = run((torch.tensor(2**40), torch.arange(9)))
    torch.testing.assert_close(z, vector_run.sampler(sample_noise(9, 6, 2**40, "normal")), rtol=0, atol=1e-6)


def test_encode_is_the_eager_encoder(image_run: View, tmp_path: Path):
    exporter = PT2Exporter(PT2Spec(name="pt2", parts=("encoder",)))
    assert [item.file for item in exporter.write(image_run, tmp_path)] == ["encode.pt2"]
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (z,) = pt2_runner((tmp_path / "encode.pt2").read_bytes())((x,))
    torch.testing.assert_close(z, image_run.model.encode(x).detach(), rtol=0, atol=1e-5)


def test_loads_where_aerepr_is_not(pt2_files: Files):
    code = (
        "import sys, torch\n"
        f"m = torch.export.load({str(pt2_files[0] / 'sample.pt2')!r}).module()\n"
        "print(tuple(m(torch.tensor(7), torch.arange(2))[0].shape)); assert 'aerepr' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("(2, 3, 8, 8)", 0), done.stderr


def test_nothing_of_this_machine_stays(pt2_files: Files):
    words = [str(Path.cwd()), str(Path.home()), str(Path(torch.__file__).parent), str(pt2_files[0]), "site-packages"]
    words += [socket.gethostname(), 'File \\"', "stack_trace"]
    for item in pt2_files[1]:
        with zipfile.ZipFile(pt2_files[0] / item.file) as archive:
            for entry in archive.namelist():
                data = archive.read(entry)
                assert not [word for word in words if word.encode() in data], entry
                assert not re.search(rb"\w\.py\b", data), entry


def test_a_host_is_told_of_codes_of_another_width(pt2_files: Files):
    with pytest.raises(Exception, match=r"shape|size|dimension"):
        load(pt2_files, "decode.pt2")(torch.zeros(2, 5))


def test_what_is_not_a_number_stays_one_and_stays_in_its_row(pt2_files: Files):
    decode, z = load(pt2_files, "decode.pt2"), torch.zeros(3, 6)
    z[1, 4] = torch.nan
    (found,), (others,) = decode(z), decode(z[[0, 2]])
    assert found[1].isnan().any()
    torch.testing.assert_close(found[[0, 2]], others, rtol=0, atol=1e-6)


def test_graphs_weigh_little_beside_weights(pt2_files: Files):
    """The graph of a sample, with its noise inside, is ten times what is left of it in the file."""
    with zipfile.ZipFile(pt2_files[0] / "sample.pt2") as archive:
        graph = archive.getinfo("archive/models/model.json")
        assert graph.compress_size < graph.file_size / 5
        stored = {entry.compress_type for entry in archive.infolist() if "/weights/weight_" in entry.filename}
        assert stored == {zipfile.ZIP_STORED}


def test_the_encoder_stays_out(pt2_files: Files):
    program = torch.export.load(pt2_files[0] / "sample.pt2")
    assert program.state_dict
    assert not [name for name in program.state_dict if "encoder" in name]


def test_is_quiet_and_leaves_the_model_as_it_was(
    toy: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
):
    run = toy.vector_run()
    run.system.train()
    before = torch.get_rng_state()
    exported = PT2Exporter(PT2Spec(name="pt2")).write(run, tmp_path)
    assert [item.file for item in exported] == ["decode.pt2", "sample.pt2"]
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in run.system.modules())
    assert all(parameter.requires_grad for parameter in run.system.parameters())


def test_what_cannot_be_followed_is_an_export_error_and_not_written(toy: ModuleType, tmp_path: Path):
    class Branch(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z if z.sum() > 0 else -z

    class Bad(toy.Plain):
        def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
            return {"branch": (Branch(), (torch.ones(2, 6),))}

    with pytest.raises(ExportError, match="branch cannot be exported by torch.export: .*data-dependent"):
        PT2Exporter(PT2Spec(name="pt2")).write(toy.vector_run(Bad()), tmp_path)
    assert not (tmp_path / "branch.pt2").exists()


def test_other_weights_are_refused(pt2_files: Files, toy: ModuleType):
    run = toy.image_run()
    with torch.no_grad():
        run.model.decoder.out.bias += 1e-3
    decoder = graphs(run.model, run.sampler, run.codes, True, {}, ["decoder"])[0]
    with pytest.raises(ExportError, match="decoder differs from the eager model"):
        verify(decoder, pt2_runner((pt2_files[0] / "decode.pt2").read_bytes()))


def test_a_graph_that_freezes_the_batch_is_refused(toy: ModuleType):
    class Frozen(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z * float(int(z.shape[0]) ** 0.5)

    run = toy.image_run()
    graph = graphs(run.model, run.sampler, run.codes, True, {"frozen": (Frozen(), (torch.ones(2, 6),))}, ["frozen"])[0]
    with pytest.raises(ExportError, match="frozen"):
        verify(graph, pt2_runner(convert(graph)))
