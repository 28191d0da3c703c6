"""Export as a whole: all formats or none, in place at once, nothing else lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aerepr.errors import ExportError, UnknownComponent, UsageError
from aerepr.export.card import read_card
from aerepr.export.write import export_run
from aerepr.kinds.exporter import Exported, Exporter
from aerepr.kinds.run import RunView
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec


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
    assert {"decoder.onnx", "sampler.onnx", "velocity.onnx", "decoder.ts", "velocity.ts", "card.json"} == set(
        contents(image_export)
    )
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


def test_an_earlier_export_is_replaced_whole(image_run: View, tmp_path: Path):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("old.bin", "x.bin", text="old")))
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="new")))
    assert set(contents(folder)) == {"x.bin", "card.json"}
    assert contents(folder)["x.bin"] == b"new"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("cause", [ExportError("no such operator"), RuntimeError("boom"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_export_as_it_was(image_run: View, tmp_path: Path, cause: BaseException):
    folder = tmp_path / "exports"
    export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="old")))
    before = contents(folder)
    with pytest.raises((ExportError, KeyboardInterrupt)):
        export_run(image_run, folder, ["a", "b"], Fake(a=writes("x.bin", text="new"), b=breaks(cause)))
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_says_what_broke_and_what_worked(image_run: View, tmp_path: Path):
    registry = Fake(a=writes("x.bin"), b=breaks(RuntimeError("boom")), c=writes("y.bin"))
    with pytest.raises(ExportError) as caught:
        export_run(image_run, tmp_path / "exports", ["b", "a", "c"], registry)
    assert "b: RuntimeError: boom" in str(caught.value)
    assert "only what works: a, c" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


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
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if self.suffix == ".new":
            raise OSError("no space left")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space"):
        export_run(image_run, folder, ["a"], Fake(a=writes("x.bin", text="new")))
    assert contents(folder)["x.bin"] == b"old"
    assert list(tmp_path.iterdir()) == [folder]
