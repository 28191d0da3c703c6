"""`metrics.jsonl` keeps whole lines, and on resume those up to the checkpoint."""

from __future__ import annotations

from pathlib import Path

from aerepr.training import record


def test_records_after_the_checkpoint_are_dropped_and_its_own_kept(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert record.read(path) == []
    for step in (4, 8, 8, 12):
        record.append(path, {"step": step, "value": 0.1})
    with path.open("a") as file:
        file.write('{"step": 16, "val')  # killed while it wrote
    assert [item["step"] for item in record.read(path)] == [4, 8, 8, 12]
    record.truncate(path, 8)
    assert path.read_text() == "".join(f'{{"step": {step}, "value": 0.1}}\n' for step in (4, 8, 8))
