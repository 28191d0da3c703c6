"""The main job at a tiny size: real MNIST, killed and resumed, sampled, exported, and the export run by numpy alone.

This is `benchmarks/hybrid_digits.py` with fewer steps; what is asserted are the mechanics, not how good samples are.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from aerepr.export.load import load_decoder
from aerepr.workflows.train import train
from tests.data.conftest import real_data as real_data
from tests.training.conftest import same

ROOT = Path(__file__).parents[1]
STEPS = 40
SETS = [
    *(
        "model.encoder.width=8",
        "model.decoder.width=8",
        "data.gallery=4",
        "sampler.size=32",
        "data.subset.label=[0, 1]",
    ),
    *(
        f"train.steps={STEPS}",
        "train.batch_size=16",
        "train.device=cpu",
        "train.checkpoint_every=4",
        "train.log_every=4",
    ),
]


def benchmark() -> ModuleType:
    location = importlib.util.spec_from_file_location("hybrid_digits", ROOT / "benchmarks" / "hybrid_digits.py")
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


def test_mnist_from_files_to_numpy(
    real_data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The uncut run in this process has one thread too.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    files = [real_data / "mnist" / f"t10k-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1")]
    arguments = ["--images", str(files[0]), "--labels", str(files[1]), "--out", str(tmp_path), "--n", "120"]
    arguments += ["--kill-after", "8", "--epochs", "1", *(word for item in SETS for word in ("--set", item))]
    module = benchmark()
    figures = module.measure(module.parsed(arguments))

    killed = figures["training"]
    assert 8 <= killed["resumed_from_step"] <= killed["killed_after_step"] < STEPS
    run = tmp_path / "run"
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert set(steps) == set(range(4, STEPS + 1, 4))
    uncut = train(
        ROOT / "examples" / "sae_mnist.toml",
        sets=[f"data.images={files[0]}", f"data.labels={files[1]}", *SETS],
        run=tmp_path / "uncut",
    )
    assert same(run, uncut)

    assert set(os.listdir(tmp_path / "exports")) == {"card.json", "decoder.onnx", "sampler.onnx"}
    assert max(figures["onnx_max_abs_diff"].values()) <= 1e-5
    assert np.load(tmp_path / "onnx.npy").shape == (120, 1, 28, 28)
    z = load_decoder(tmp_path / "exports").draw(120, 0)
    # Each variable of six dimensions is one of the 32 stored ones.
    assert len(np.unique(z[:, :6], axis=0)) <= 32
    assert len(np.unique(z, axis=0)) > 32

    rows = figures["confidence"]
    assert len(rows) == 6
    assert all(row["n"] == sum(row["digits"]) == 120 for row in rows.values())
    assert all(0 <= row["share_confident"] <= 1 for row in rows.values())
    assert figures["classifier_test_accuracy"] > 0.85
    assert rows["hybrid samples"]["digits"] == rows["hybrid samples, ONNX and numpy alone"]["digits"]
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    with Image.open(tmp_path / "samples.png") as grid:
        assert grid.width > 2 * grid.height
    module.show(figures)
    assert "hybrid samples" in capsys.readouterr().out
