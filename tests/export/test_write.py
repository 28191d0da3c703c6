"""Export as a whole: what works, in place at once, nothing else lost."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aerepr.errors import (
    AereprError,
    ExportError,
    FormatUnavailable,
    MissingExtra,
    PluginError,
    UnknownComponent,
    UsageError,
)
from aerepr.export.card import CardRounding, read_card, write_card
from aerepr.export.load import load_decoder
from aerepr.export.write import OURS, export_run
from aerepr.kinds.encoder import Encoder
from aerepr.kinds.exporter import Exported, Exporter, Rounding
from aerepr.kinds.run import RunView
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec
from aerepr.spec.export import ExporterSpec


def writes(*files: str, claims: tuple[str, ...] | None = None, text: str = "") -> type[Exporter]:
    """An exporter that writes these files (and says it wrote `claims`)."""

    class Writes(Exporter):
        def __init__(self, spec: ComponentSpec) -> None: ...

        def write(self, run: RunView, folder: Path) -> list[Exported]:
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text or file)
            return [Exported(file, f"purpose of {file}", 1e-7) for file in claims or files]

    return Writes


def breaks(cause: BaseException) -> type[Exporter]:
    """An exporter that fails half-way."""

    class Breaks(Exporter):
        def __init__(self, spec: ComponentSpec) -> None: ...

        def write(self, run: RunView, folder: Path) -> list[Exported]:
            (folder / "half.bin").write_text("half")
            raise cause

    return Breaks


class Fake(Registry):
    """A registry of these exporters and no others."""

    def __init__(self, **exporters: type[Exporter]) -> None:
        super().__init__()
        self.exporters = exporters

    def load(self, kind: str, name: str) -> type[Exporter]:
        assert kind == "exporter"
        if name not in self.exporters:
            raise UnknownComponent(f'no exporter named "{name}"')
        return self.exporters[name]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_real_formats(image_export: Path):
    assert {*read_card(image_export).files, "card.json"} == set(contents(image_export))
    assert {"decoder.onnx", "sampler.onnx", "decode.pt2", "sample.pt2", "decoder.ts"} < set(contents(image_export))
    assert all(OURS.fullmatch(name) for name in read_card(image_export).files)
    assert {name: entry.graphs for name, entry in read_card(image_export).files.items() if len(entry.graphs) != 1} == {
        "decoder.ts": ("decoder", "sampler")
    }
    assert [path.name for path in image_export.parent.iterdir()] == ["exports"]


def test_returns_purposes_and_differences(image_run: View, tmp_path: Path):
    result = export_run(
        image_run, tmp_path / "deep" / "exports", ["a", "b"], Fake(a=writes("x.bin"), b=writes("web/y.html"))
    )
    assert result["files"]["x.bin"] == "purpose of x.bin"
    assert set(result["files"]) == {"x.bin", "web/y.html", "card.json"}
    assert result["max_abs_diff"] == {"x.bin": 1e-7, "web/y.html": 1e-7}
    assert read_card(tmp_path / "deep" / "exports").files["web/y.html"].exporter == "b"


def test_a_name_given_twice_counts_once(image_run: View, tmp_path: Path):
    assert set(export_run(image_run, tmp_path / "e", ["a", "a"], Fake(a=writes("x.bin")))["files"]) == {
        "x.bin",
        "card.json",
    }


def test_the_same_format_again_replaces_its_files(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="old")))
    result = export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="new")))
    assert contents(folder)["x.bin"] == b"new"
    assert set(contents(folder)) == {"x.bin", "card.json"}
    assert (result["kept"], result["dropped"]) == ([], {})
    assert list(tmp_path.iterdir()) == [folder]


def test_formats_are_added_one_by_one(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    registry = Fake(a=writes("x.bin", "web/y.html"), b=writes("z.bin"))
    export_run(image_run, folder, ["a"], registry)
    result = export_run(image_run, folder, ["b"], registry)
    assert set(contents(folder)) == {"x.bin", "web/y.html", "z.bin", "card.json"}
    assert result["kept"] == ["x.bin", "web/y.html"]
    assert set(result["files"]) == set(contents(folder))
    # The card vouches for all of them, and says who wrote which.
    assert {name: entry.exporter for name, entry in read_card(folder).files.items()} == {
        "x.bin": "a",
        "web/y.html": "a",
        "z.bin": "b",
    }


def test_an_export_of_another_sampler_is_dropped_and_said(image_run: View, toy: ModuleType, tmp_path: Path):
    folder = tmp_path / "exports"
    registry = Fake(a=writes("x.bin"), b=writes("z.bin"))
    export_run(image_run, folder, ["a"], registry)
    other = toy.view("toy-image", "gaussian", image_run.system, toy.Fitted(), image_run.info.shape, image_run.codes)
    result = export_run(other, folder, ["b"], registry)
    assert result["dropped"] == {"x.bin": 'was of the sampler "hybrid"'}
    assert set(contents(folder)) == {"z.bin", "card.json"}


def test_an_export_of_other_weights_is_dropped_and_said(toy: ModuleType, tmp_path: Path):
    folder, run = tmp_path / "exports", toy.image_run()
    registry = Fake(a=writes("x.bin"), b=writes("z.bin"))
    export_run(run, folder, ["a"], registry)
    with torch.no_grad():
        run.model.decoder.out.bias[0] += 1e-6
    result = export_run(run, folder, ["b"], registry)
    assert result["dropped"] == {"x.bin": "was of another model, or of the sampler with other settings"}
    run.sampler.bank_ND[0, 0] += 1
    assert set(export_run(run, folder, ["a"], registry)["dropped"]) == {"z.bin"}
    run.objective.velocity.linear.bias.data[0] += 1
    assert set(export_run(run, folder, ["b"], registry)["dropped"]) == {"x.bin"}


def test_an_export_of_another_version_is_dropped_and_said(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin")))
    write_card(read_card(folder).model_copy(update={"torch": "2.0.0"}), folder)
    result = export_run(image_run, folder, ["b"], Fake(b=writes("z.bin")))
    assert "and torch 2.0.0" in result["dropped"]["x.bin"]


def test_a_damaged_file_is_not_kept(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    registry = Fake(a=writes("x.bin", "y.bin", "gone.bin"), b=writes("z.bin"))
    export_run(image_run, folder, ["a"], registry)
    (folder / "x.bin").write_text("x.bix")
    (folder / "gone.bin").unlink()
    result = export_run(image_run, folder, ["b"], registry)
    assert result["dropped"] == dict.fromkeys(["x.bin", "gone.bin"], "was not the file card.json described")
    assert set(read_card(folder).files) == {"y.bin", "z.bin"}


def test_a_damaged_card_keeps_nothing(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    registry = Fake(a=writes("x.ts", "page/app.js"), b=writes("z.bin"))
    export_run(image_run, folder, ["a"], registry)
    (folder / "card.json").write_text("{")
    result = export_run(image_run, folder, ["b"], registry)
    assert "was damaged" in result["dropped"]["x.ts"]
    assert set(read_card(folder).files) == {"z.bin"}


@pytest.mark.parametrize("card", [None, "{"], ids=["whole", "damaged"])
def test_a_file_of_no_export_is_not_lost(image_run: View, tmp_path: Path, card: str | None):
    folder, registry = tmp_path / "exports", Fake(a=writes("x.ts"))
    export_run(image_run, folder, ["a"], registry)
    if card is not None:
        (folder / "card.json").write_text(card)
    for name in ("notes.txt", ".htaccess", ".nojekyll", "page/.env", "mine/model.onnx"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
        before = contents(folder)
        with pytest.raises(ExportError, match=rf"{re.escape(name)} is of no export and would be lost"):
            export_run(image_run, folder, ["a"], registry)
        assert contents(folder) == before
        (folder / name).unlink()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ExportError, match="link is of no export"):
        export_run(image_run, folder, ["a"], registry)
    (folder / "link").unlink()
    (folder / ".DS_Store").write_text("of a file manager")
    export_run(image_run, folder, ["a"], registry)
    assert set(contents(folder)) == {"x.ts", "card.json"}


@pytest.mark.parametrize("name", [".", "..", "exports/.."])
def test_a_folder_without_a_name_is_refused(
    image_run: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=rf"^{re.escape(name)}: name the folder itself"):
        export_run(image_run, Path(name), ["a"], Fake(a=writes("x.bin")))
    assert list(tmp_path.iterdir()) == []


def test_parts_reach_the_exporters_that_have_them(image_run: View, tmp_path: Path):
    class Parted(writes("x.bin")):
        Spec = ExporterSpec

        def __init__(self, spec: ExporterSpec) -> None:
            asked.append(spec.parts)

    asked: list[tuple[str, ...]] = []
    export_run(image_run, tmp_path / "e", ["a"], Fake(a=Parted), parts=["encoder"])
    assert asked == [("encoder",)]
    assert list(read_card(tmp_path / "e").graphs) == ["encoder"]
    with pytest.raises(ExportError, match="b: is of decoder and sampler together"):
        export_run(image_run, tmp_path / "e", ["b"], Fake(b=writes("y.bin")), parts=["encoder"])


def test_a_part_that_a_new_file_no_longer_holds_is_said(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["torchscript"], Registry(), parts=["decoder", "sampler"])
    result = export_run(image_run, folder, ["torchscript"], Registry(), parts=["decoder"])
    assert result["dropped"] == {"sampler of decoder.ts": "was not asked for when the file was written anew"}
    assert list(read_card(folder).graphs) == ["decoder"]


def test_a_part_without_a_file_is_not_in_the_card(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"

    class Sampler(writes("s.bin")):
        def write(self, run: RunView, folder: Path) -> list[Exported]:
            return [replace(item, graphs=("sampler",)) for item in super().write(run, folder)]

    registry = Fake(a=Sampler, b=writes("y.bin"), c=half("z.bin"))
    export_run(image_run, folder, ["a", "b"], registry)
    assert {"decoder", "sampler"} <= set(read_card(folder).graphs)
    export_run(image_run, folder, ["c"], registry, parts=["decoder"])
    assert {"decoder", "sampler"} <= set(read_card(folder).graphs)
    (folder / "s.bin").write_text("another")
    export_run(image_run, folder, ["c"], registry, parts=["decoder"])
    assert "sampler" not in read_card(folder).graphs
    assert "decoder" in read_card(folder).graphs


def test_an_unknown_part_is_refused(image_run: View, tmp_path: Path):
    with pytest.raises(UsageError, match='no part "enc" to export; this run has decoder, sampler, encoder, velocity'):
        export_run(image_run, tmp_path / "e", ["onnx"], Registry(), parts=["enc"])
    assert list(tmp_path.iterdir()) == []


UNAVAILABLE = [
    FormatUnavailable("not on this Python"),
    MissingExtra("npm", "web", "the page"),
    PluginError("is broken"),
]


@pytest.mark.parametrize("cause", UNAVAILABLE, ids=lambda cause: type(cause).__name__)
def test_what_this_machine_lacks_is_left_out_where_that_is_asked(image_run: View, tmp_path: Path, cause: Exception):
    registry = Fake(a=writes("x.bin"), b=breaks(cause))
    result = export_run(image_run, tmp_path / "e", ["a", "b"], registry, skip_unavailable=True)
    assert result["skipped"] == {"b": str(cause)}
    assert set(contents(tmp_path / "e")) == {"x.bin", "card.json"}
    for names in (["b"], ["a", "b"]):
        with pytest.raises(ExportError, match=re.escape(f"b: {cause}")):
            export_run(image_run, tmp_path / "f", names, registry, skip_unavailable=len(names) == 1)


@pytest.mark.parametrize("cause", [ExportError("decoder differs from the eager model"), RuntimeError("boom")])
def test_what_fails_is_never_passed_over(image_run: View, tmp_path: Path, cause: Exception):
    """A format that does not agree with the model is no matter of the machine: it is an error, and the others are there."""
    registry = Fake(a=writes("x.bin"), b=breaks(cause), c=breaks(UNAVAILABLE[0]))
    with pytest.raises(ExportError) as caught:
        export_run(image_run, tmp_path / "e", ["a", "b", "c"], registry, skip_unavailable=True)
    assert str(cause) in str(caught.value)
    assert "c: not on this Python" in str(caught.value)
    assert set(contents(tmp_path / "e")) == {"x.bin", "card.json"}


ROUNDING = Rounding(psnr=80.0, full_bytes=7, time_ratio=0.9)


def half(*files: str) -> type[Exporter]:
    """An exporter that can store weights in half the bits, and is then further from the model."""

    class HalfSpec(ExporterSpec):
        precision: str = "fp32"

    class Half(writes(*files)):
        Spec = HalfSpec

        def __init__(self, spec: HalfSpec) -> None:
            self.half = spec.precision == "fp16"

        def write(self, run: RunView, folder: Path) -> list[Exported]:
            found = super().write(run, folder)
            return [replace(item, max_abs_diff=3e-4, rounding=ROUNDING) for item in found] if self.half else found

    return Half


def test_the_card_says_what_is_of_half_precision_and_how_far_off_it_is(image_run: View, tmp_path: Path):
    folder, registry = tmp_path / "exports", Fake(a=half("x.bin"), b=writes("y.bin"))
    export_run(image_run, folder, ["a"], registry)
    assert read_card(folder).golden.tolerance == pytest.approx(1e-4)
    result = export_run(image_run, folder, ["a"], registry, precision="fp16")
    assert result["rounding"] == {"x.bin": asdict(ROUNDING)}
    # What else is exported of the run stays with it, and a host may be as far from the golden pair as the worst file.
    export_run(image_run, folder, ["b"], registry)
    card = read_card(folder)
    assert {name: (entry.precision, entry.rounding) for name, entry in card.files.items()} == {
        "x.bin": ("fp16", CardRounding(psnr=80.0, full_bytes=7, time_ratio=0.9)),
        "y.bin": ("fp32", None),
    }
    assert card.golden.tolerance == pytest.approx(3e-3)
    export_run(image_run, folder, ["a"], registry)
    assert read_card(folder).golden.tolerance == pytest.approx(1e-4)


def test_a_format_that_has_no_half_precision_says_so(image_run: View, tmp_path: Path):
    class Page(writes("page.html")):
        requires = ("a",)

    registry = Fake(a=half("x.bin"), b=writes("y.bin"), page=Page)
    with pytest.raises(ExportError, match="b: stores no weights in fp16"):
        export_run(image_run, tmp_path / "e", ["a", "b"], registry, precision="fp16")
    result = export_run(image_run, tmp_path / "e", ["b", "page"], registry, skip_unavailable=True, precision="fp16")
    assert set(result["skipped"]) == {"b"}
    assert result["rounding"] == {"x.bin": asdict(ROUNDING)}
    with pytest.raises(UsageError, match="precision must be fp32 or fp16, got 'int4'"):
        export_run(image_run, tmp_path / "e", ["a"], registry, precision="int4")


def test_what_comes_along_keeps_the_precision_it_had(toy: ModuleType, tmp_path: Path):
    class Page(writes("page.html")):
        requires = ("a",)

    folder, run, registry = tmp_path / "exports", toy.image_run(), Fake(a=half("x.bin"), page=Page)
    export_run(run, folder, ["a"], registry, precision="fp16")

    def precision(*names: str) -> str:
        export_run(run, folder, names, registry)
        return read_card(folder).files["x.bin"].precision

    assert precision("page") == "fp16"
    assert precision("page", "a") == "fp32"
    export_run(run, folder, ["a"], registry, precision="fp16")
    # What belongs to other weights says nothing of these.
    with torch.no_grad():
        run.model.decoder.out.bias[0] += 1
    assert precision("page") == "fp32"


class Spread(Encoder):
    """Variances that cancel almost all of their digits, but for those who follow the module: theirs take two passes."""

    def forward(self, x: Tensor) -> Tensor:
        values_BDN = 1000 + x.flatten(1).unflatten(1, (6, -1))
        if torch.compiler.is_compiling():
            variance_BD = (values_BDN - values_BDN.mean(dim=2, keepdim=True)).square().mean(dim=2)
        else:
            variance_BD = values_BDN.square().mean(dim=2) - values_BDN.mean(dim=2).square()
        return variance_BD[..., None]


def test_files_that_round_less_than_the_model_and_those_that_round_as_it_does_all_load(toy: ModuleType, tmp_path: Path):
    folder, run = tmp_path / "exports", toy.image_run()
    run.model.encoder = Spread()
    export_run(run, folder, ["onnx", "torchscript"], Registry(), parts=["encoder"])
    card = read_card(folder)
    x = np.float32(card.golden.output).reshape(1, 3, 8, 8)
    # The golden codes are right, by two passes in double precision; the model itself is far from them.
    np.testing.assert_allclose(card.golden.encoded, x.astype(float).reshape(6, 32).var(axis=1), atol=1e-5)
    assert card.golden.encoded_tolerance > 1e-2
    # Which loosens nothing for the decoder.
    assert card.golden.tolerance == pytest.approx(1e-4)
    codes = {form: load_decoder(folder, trust=True, format=form).encode(x) for form in ("onnx", "torchscript")}
    assert abs(codes["onnx"] - card.golden.encoded).max() < 1e-4
    assert abs(codes["torchscript"] - card.golden.encoded).max() > 1e-3


def test_files_that_do_not_give_the_golden_example_are_not_put_in_place(
    image_export: Path, toy: ModuleType, tmp_path: Path
):
    """An exporter that is wrong about its file, here the decoder of other weights."""

    class Wrong(writes("decoder.onnx")):
        def write(self, run: RunView, folder: Path) -> list[Exported]:
            found = super().write(run, folder)
            (folder / "decoder.onnx").write_bytes((image_export / "decoder.onnx").read_bytes())
            return found

    folder, run = tmp_path / "exports", toy.image_run()
    with torch.no_grad():
        run.model.decoder.out.bias += 0.1
    export_run(run, folder, ["a"], Fake(a=writes("x.bin")))
    before = contents(folder)
    with pytest.raises(ExportError, match="golden output: differs by"):
        export_run(run, folder, ["a"], Fake(a=Wrong))
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_notice_is_given_once(image_run: View, tmp_path: Path):
    class Old(writes("x.bin")):
        notice = "do not use this"

    result = export_run(image_run, tmp_path / "e", ["a", "b"], Fake(a=Old, b=writes("y.bin")))
    assert result["notices"] == ["do not use this"]


@pytest.mark.parametrize("cause", [ExportError("no such operator"), RuntimeError("boom")])
def test_where_nothing_works_the_old_export_is_as_it_was(image_run: View, tmp_path: Path, cause: Exception):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="old")))
    before = contents(folder)
    with pytest.raises(ExportError, match="nothing was exported; this failed:\n  a: .*\n  b: "):
        export_run(image_run, folder, ["a", "b"], Fake(a=breaks(cause), b=breaks(cause)))
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_an_interrupted_export_leaves_the_old_one_as_it_was(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="old")))
    before = contents(folder)
    with pytest.raises(KeyboardInterrupt):
        export_run(image_run, folder, ["a", "b"], Fake(a=writes("x.bin", text="new"), b=breaks(KeyboardInterrupt())))
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_what_works_is_written_and_what_broke_is_said(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    registry = Fake(a=writes("x.bin"), b=breaks(RuntimeError("boom")), c=writes("y.bin"))
    with pytest.raises(ExportError) as caught:
        export_run(image_run, folder, ["b", "a", "c"], registry)
    assert str(caught.value) == (
        f"not all was exported: {folder} holds what works, a, c; this failed:\n  b: RuntimeError: boom"
    )
    # Nothing of the broken format is there, its half-written file included.
    assert set(contents(folder)) == {"x.bin", "y.bin", "card.json"}
    assert set(read_card(folder).files) == {"x.bin", "y.bin"}
    assert list(tmp_path.iterdir()) == [folder]


class Bessel(nn.Module):
    """A function that torch has and ONNX has not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_a_component_that_one_format_cannot_express_is_named_and_the_others_are_there(toy: ModuleType, tmp_path: Path):
    folder, run = tmp_path / "exports", toy.vector_run()
    run.model.decoder.net.append(Bessel())
    said = rf"^not all was exported: {re.escape(str(folder))} holds what works, torchscript, pt2; this failed:\n"
    said += "  onnx: decoder cannot be exported to ONNX: .*bessel_j0.*$"
    with pytest.raises(ExportError, match=said):
        export_run(run, folder, ["onnx", "torchscript", "pt2"], Registry(), parts=["decoder"])
    assert set(contents(folder)) == {"decoder.ts", "decode.pt2", "card.json"}
    z = np.zeros((2, 6), np.float32)
    scripted, program = (load_decoder(folder, trust=True, format=form).decode(z) for form in ("torchscript", "pt2"))
    np.testing.assert_allclose(scripted, program, rtol=1e-5)


def test_a_format_that_fails_leaves_what_an_earlier_export_of_it_made(image_run: View, toy: ModuleType, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a", "b"], Fake(a=writes("x.bin", text="old"), b=writes("y.bin")))
    registry = Fake(a=writes("x.bin", text="new"), b=breaks(ExportError("no such operator")))
    with pytest.raises(ExportError, match="b: no such operator"):
        export_run(image_run, folder, ["a", "b"], registry)
    assert (contents(folder)["x.bin"], contents(folder)["y.bin"]) == (b"new", b"y.bin")
    assert set(read_card(folder).files) == {"x.bin", "y.bin"}
    # Of another model it cannot stay.
    other = toy.image_run()
    with torch.no_grad():
        other.model.decoder.out.bias[0] += 1
    with pytest.raises(ExportError, match=r"holds what works, a; gone of earlier exports: y\.bin; this failed"):
        export_run(other, folder, ["a", "b"], registry)
    assert set(contents(folder)) == {"x.bin", "card.json"}


def test_an_unknown_exporter_stops_before_anything_runs(image_run: View, tmp_path: Path):
    with pytest.raises(UnknownComponent, match='no exporter named "pdf"'):
        export_run(image_run, tmp_path / "deep" / "exports", ["onnx", "pdf"], Registry())
    assert list(tmp_path.iterdir()) == []


def test_naming_no_exporter_is_an_error(image_run: View, tmp_path: Path):
    with pytest.raises(UsageError, match="at least one format.*onnx, .*torchscript"):
        export_run(image_run, tmp_path / "exports", [], Registry())


@pytest.mark.parametrize(
    ("exporter", "message"),
    [
        (writes("x.bin", "extra.bin", claims=("x.bin",)), r"wrote \['extra.bin', 'x.bin'\]"),
        (writes("x.bin", claims=("x.bin", "gone.bin")), r"says it wrote \['gone.bin', 'x.bin'\]"),
    ],
)
def test_an_exporter_must_report_what_it_wrote(image_run: View, tmp_path: Path, exporter: type[Exporter], message: str):
    with pytest.raises(ExportError, match=message):
        export_run(image_run, tmp_path / "exports", ["a"], Fake(a=exporter))


def test_two_exporters_may_not_write_one_file(image_run: View, tmp_path: Path):
    with pytest.raises(ExportError, match="b: writes x.bin, which another exporter also writes"):
        export_run(image_run, tmp_path / "exports", ["a", "b"], Fake(a=writes("x.bin"), b=writes("x.bin")))


def make_file(place: Path) -> None:
    place.write_text("mine")


def make_folder(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("mine")


def make_link(place: Path) -> None:
    place.with_name("elsewhere").mkdir()
    place.symlink_to(place.with_name("elsewhere"))


@pytest.mark.parametrize("make", [make_file, make_folder, make_link])
def test_what_is_no_export_is_not_replaced(image_run: View, tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "exports")
    before = contents(tmp_path)
    with pytest.raises(ExportError):
        export_run(image_run, tmp_path / "exports", ["a"], Fake(a=writes("x.bin")))
    assert contents(tmp_path) == before


def test_an_empty_folder_is_taken(image_run: View, tmp_path: Path):
    (tmp_path / "exports").mkdir()
    export_run(image_run, tmp_path / "exports", ["a"], Fake(a=writes("x.bin")))
    assert set(contents(tmp_path / "exports")) == {"x.bin", "card.json"}


def test_a_failed_swap_restores_the_old_export(image_run: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="old")))
    rename = os.rename

    def fails(error: BaseException) -> Callable[..., None]:
        def renamed(source: Path, target: Path) -> None:
            if target == folder and (source / "x.bin").read_bytes() == b"new":
                raise error
            rename(source, target)

        return renamed

    # Between the two renames there is no export under its name.
    cases = [
        (OSError(errno.ENOSPC, "full"), AereprError, "disk is full"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ]
    for error, told, text in cases:
        monkeypatch.setattr(os, "rename", fails(error))
        with pytest.raises(told, match=text):
            export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="new")))
        assert contents(folder)["x.bin"] == b"old"
        assert list(tmp_path.iterdir()) == [folder]
