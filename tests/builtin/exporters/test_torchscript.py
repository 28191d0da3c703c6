"""TorchScript files: decode, draw and sample, without aerepr, without this machine's paths, without the global generator."""

from __future__ import annotations

import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aerepr.builtin.exporters import torchscript
from aerepr.builtin.exporters.torchscript import TorchScriptExporter, TorchScriptSpec, refuse_unsupported
from aerepr.errors import ExportError
from aerepr.kinds.exporter import Exported
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

Files = tuple[Path, list[Exported]]


def exporter() -> TorchScriptExporter:
    return TorchScriptExporter(TorchScriptSpec(name="torchscript"))


@pytest.fixture
def loaded(torchscript_files: Files) -> Iterator[torch.jit.ScriptModule]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        yield torch.jit.load(torchscript_files[0] / "decoder.ts")


class Frozen(nn.Module):
    """Takes the batch size for a constant, which tracing keeps."""

    def forward(self, z: Tensor) -> Tensor:
        return z * float(np.sqrt(int(z.shape[0])))


def test_writes_the_decoder_and_the_entries(torchscript_files: Files):
    folder, exported = torchscript_files
    assert [item.file for item in exported] == ["decoder.ts", "velocity.ts"]
    assert {path.name for path in folder.iterdir()} == {item.file for item in exported}
    assert all(item.max_abs_diff <= 1e-5 for item in exported)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_decode_is_the_eager_model(loaded: torch.jit.ScriptModule, image_run: View, batch: int):
    z = 2 * torch.randn(batch, 6, generator=torch.Generator().manual_seed(batch))
    torch.testing.assert_close(loaded.decode(z), standalone(Decode(image_run.model))(z), rtol=0, atol=1e-5)
    assert torch.equal(loaded(z), loaded.decode(z))


def test_sample_is_the_eager_model_at_the_noise_of_the_seed(loaded: torch.jit.ScriptModule, image_run: View):
    for seed in (0, 7, 2**32 - 1, 2**63 - 1):
        z = image_run.sampler(sample_noise(6, 3, seed, "uniform"))
        assert torch.equal(loaded.draw(6, seed), z)
        torch.testing.assert_close(loaded.sample(6, seed), standalone(Decode(image_run.model))(z), rtol=0, atol=1e-5)


def test_a_host_is_told_of_codes_of_another_width(loaded: torch.jit.ScriptModule):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        loaded.decode(torch.zeros(2, 5))


def test_what_is_not_a_number_stays_one_and_stays_in_its_row(loaded: torch.jit.ScriptModule):
    z = torch.zeros(3, 6)
    z[1, 4] = torch.nan
    found = loaded.decode(z)
    assert found[1].isnan().any()
    torch.testing.assert_close(found[[0, 2]], loaded.decode(z[[0, 2]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (1, -1)])
def test_bad_counts_and_seeds_are_refused(loaded: torch.jit.ScriptModule, n: int, seed: int):
    with pytest.raises(torch.jit.Error, match="must be"):
        loaded.sample(n, seed)


def test_the_first_of_many_are_the_few(loaded: torch.jit.ScriptModule):
    for k in (0, 1, 3):
        assert torch.equal(loaded.draw(8, 4)[:k], loaded.draw(k, 4))
        torch.testing.assert_close(loaded.sample(8, 4)[:k], loaded.sample(k, 4), rtol=0, atol=1e-6)


def test_the_global_generator_is_neither_read_nor_changed(loaded: torch.jit.ScriptModule):
    before = torch.get_rng_state()
    first = loaded.sample(4, 1)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(loaded.sample(4, 1), first)


def test_an_entry_of_the_objective_is_written(torchscript_files: Files, image_run: View):
    z, t = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")
        entry = torch.jit.load(torchscript_files[0] / "velocity.ts")
    for found, expected in zip(entry(z, t), image_run.objective.velocity(z, t), strict=True):
        torch.testing.assert_close(found, expected.detach())


def test_loads_where_aerepr_is_not(torchscript_files: Files):
    code = (
        "import sys, torch\n"
        f"m = torch.jit.load({str(torchscript_files[0] / 'decoder.ts')!r})\n"
        "print(tuple(m.sample(2, 0).shape)); assert 'aerepr' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("(2, 3, 8, 8)", 0), done.stderr


def test_nothing_of_this_machine_stays(torchscript_files: Files):
    words = [str(Path.cwd()), str(Path.home()), str(Path(torch.__file__).parent), str(torchscript_files[0]), 'File "']
    for item in torchscript_files[1]:
        with zipfile.ZipFile(torchscript_files[0] / item.file) as archive:
            for entry in archive.namelist():
                data = archive.read(entry)
                assert not [word for word in words if word.encode() in data], entry


def test_the_encoder_stays_out(loaded: torch.jit.ScriptModule):
    assert not [name for name in loaded.state_dict() if "encoder" in name]


def test_leaves_the_model_as_it_was(toy: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    run = toy.vector_run()
    run.system.train()
    exporter().write(run, tmp_path)
    assert all(module.training for module in run.system.modules())
    assert all(parameter.requires_grad for parameter in run.system.parameters())
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_freezes_the_batch_is_refused_and_not_written(toy: ModuleType, tmp_path: Path):
    class Bad(toy.Plain):
        def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
            return {"frozen": (Frozen(), (torch.ones(2, 6),))}

    with pytest.raises(ExportError, match="frozen differs from the eager model by .* at batch size 1"):
        exporter().write(toy.vector_run(Bad()), tmp_path)
    assert not (tmp_path / "frozen.ts").exists()


def test_what_cannot_be_traced_is_an_export_error(toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **settings: object) -> None:
        raise RuntimeError("cannot follow\nthis")

    monkeypatch.setattr(torch.jit, "trace", refuse)
    with pytest.raises(ExportError, match="decoder cannot be traced by TorchScript: cannot follow$"):
        exporter().write(toy.image_run(), tmp_path)


def test_python_3_14_is_refused_with_the_reason(toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refuse_unsupported((3, 13))
    monkeypatch.setattr(torchscript.sys, "version_info", (3, 14, 0))
    with pytest.raises(ExportError, match=r"this is 3\.14.*--to onnx"):
        exporter().write(toy.image_run(), tmp_path)
