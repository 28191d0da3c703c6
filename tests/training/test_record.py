"""`metrics.jsonl` keeps whole lines, and on resume those up to the checkpoint."""

from __future__ import annotations

import json
import math
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


def test_numbers_that_json_has_not_are_texts_and_come_back_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    written = {"step": 1, "kind": "evaluation", "a": math.inf, "b": -math.inf, "c": math.nan, "d": 0.5}
    record.append(path, written)
    assert path.read_text() == '{"step": 1, "kind": "evaluation", "a": "inf", "b": "-inf", "c": "nan", "d": 0.5}\n'
    for _ in range(2):
        (found,) = record.read(path)
        assert (found["a"], found["b"], math.isnan(found["c"]), found["d"]) == (math.inf, -math.inf, True, 0.5)
        assert (found["step"], found["kind"]) == (1, "evaluation")
        # Dropping records writes the others again, in place or elsewhere.
        record.truncate(path, 1)
    record.truncate(path, 1, tmp_path / "other.jsonl")
    assert (tmp_path / "other.jsonl").read_text() == path.read_text()
    assert json.loads(path.read_text())["a"] == "inf"
