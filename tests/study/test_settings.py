"""Paths among the settings of `[[evaluate]]`: they start at the study file, and names of runs stay names."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

from aerepr.evaluation.asked import placed
from aerepr.registry.registry import Registry
from aerepr.rundir.layout import RunDirectory
from aerepr.study.spec import EvaluateSpec
from aerepr.workflows.study_worker import Reporter, _evaluate


def test_paths_are_placed_and_names_are_not(tmp_path: Path) -> None:
    def of(features: str) -> Any:
        found = placed({"frechet": {"features": features, "rows": 5}, "mig": {"bins": 9}}, tmp_path, Registry())
        assert (found["frechet"]["rows"], found["mig"]) == (5, {"bins": 9})
        return found["frechet"]["features"]

    assert of("judge") == "judge"
    assert of("runs/judge/a") == str(tmp_path / "runs/judge/a")
    assert of("../judge") == str(tmp_path / "../judge")
    assert of("/there/judge") == "/there/judge"
    # What is there beside the file is meant before a run of that name.
    (tmp_path / "judge").mkdir()
    assert of("judge") == str(tmp_path / "judge")


def test_a_study_finds_its_judge_wherever_it_is_started(tiny_run: Path, tmp_path: Path, monkeypatch) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    shutil.copytree(tiny_run, home / "judges" / "near")
    shutil.copytree(tiny_run, elsewhere / "runs" / "judge" / "20260101T000000Z-00000000")
    run = RunDirectory(shutil.copytree(tiny_run, elsewhere / "runs" / "small" / "20260101T000000Z-00000001"))
    monkeypatch.chdir(elsewhere)

    def evaluated(features: str) -> dict[str, Any]:
        item = EvaluateSpec.model_validate(
            {"metrics": ["frechet"], "rows": 40, "settings": {"frechet": {"features": features, "rows": 40}}}
        )
        job = {"folder": str(home), "evaluate": {"": item.asked()}, "refused": {}}
        _evaluate(job, run, Reporter(io.StringIO()))
        kept: dict[str, Any] = json.loads((run.path / "evaluation" / "study.json").read_text())[""]
        # As it is in the file, so that nothing is computed again where the folder is called something else.
        assert kept["asked"]["settings"]["frechet"]["features"] == features
        return kept

    assert "frechet.reconstruction@features=near,rows=40" in evaluated("judges/near")["metrics"]
    assert "frechet.reconstruction@features=judge,rows=40" in evaluated("judge")["metrics"]
    assert 'no run named "gone"' in evaluated("gone")["refused"]["frechet"]
