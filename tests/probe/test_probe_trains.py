"""All five probe specs through the real engine: trained, cut and resumed to the same bits, sampled and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aerepr
from aerepr.rundir import tensors
from aerepr.training.loop import Trainer
from aerepr.workflows.train import train

SPECS = sorted((Path(__file__).parent / "specs").glob("*.toml"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_trains_resumes_samples_and_exports(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(spec, run=tmp_path / "whole")
    one = Trainer._one

    def patched(self: Trainer, phase: Any) -> None:
        if self.step == 13:
            monkeypatch.undo()
            raise KeyboardInterrupt
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", patched)
    with pytest.raises(KeyboardInterrupt):
        train(spec, run=tmp_path / "cut")
    cut = train(tmp_path / "cut", resume=True)
    for part in ("model", "objective", "sampler", "codes"):
        a, b = (tensors.load(run / "model" / f"{part}.safetensors") for run in (whole, cut))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), part

    run = aerepr.load(whole)
    drawn = run.sample(4, seed=0)
    written = run.export(out=tmp_path / "exports")
    assert written["max_abs_diff"]
    assert max(written["max_abs_diff"].values()) <= 1e-5
    loaded = aerepr.load_decoder(tmp_path / "exports")
    # The decoder file keeps images as the model makes them, (n, C, H, W).
    assert np.asarray(loaded.sample(4, seed=0)).size == np.asarray(getattr(drawn, "values", drawn)).size
    if spec.stem == "flow":
        assert (tmp_path / "exports" / "flow_step.onnx").is_file()
    if spec.stem == "categorical":
        assert "probe_mode_gap" in "".join((whole / "metrics.jsonl").read_text())
