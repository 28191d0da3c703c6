"""The demo, shortened: everything it says it made is there, and its figures are those of the model it trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import aerepr
from aerepr.registry.registry import Registry
from aerepr.sampling.pictures import PADDING
from aerepr.workflows.assemble import open_source
from aerepr.workflows.demo import demo, errors_on_test

SHORT = ["train.steps=12", "data.size=16", "model.encoder.width=8", "model.decoder.width=8", "train.log_every=6"]


def bands(filled: NDArray[np.bool_]) -> int:
    """How many runs of True there are in a row."""
    return int(np.count_nonzero(np.diff(filled.astype(int), prepend=0) == 1))


def test_it_makes_what_it_says(tmp_path: Path) -> None:
    told = demo(tmp_path / "runs", seed=1, sets=SHORT)
    for name in ("hybrid samples", "reconstructions", "traversals", "overview"):
        assert np.asarray(Image.open(told[name])).std() > 10, name
    assert {"decoder.onnx", "sampler.onnx", "decoder.ts", "card.json"} <= {
        p.name for p in Path(told["exports"]).iterdir()
    }
    assert "held fixed: orientation, scale" in told["data"]
    run = aerepr.load(told["run"])
    assert run.spec.seed == 1

    # Every dimension has a row of seven pictures, in the order in which the decoder takes them.
    paths = run.traverse("dimensions")
    assert [path.label for path in paths] == [f"{variable}[{d}]" for variable in ("z1", "z2") for d in (1, 2, 3, 4)]
    # Seven pictures of 96 pixels and what is between them, without the labels at their left.
    between = (np.asarray(Image.open(told["traversals"]))[:, -7 * 98 :] == PADDING).all(axis=2)
    assert bands(~between.all(axis=1)) == 8
    assert bands(~between.all(axis=0)) == 7

    # The figures, computed another way: all at once, from the pixels.
    source = open_source(run.spec.data, tmp_path, Registry())
    train, test = (source.examples(source.rows(split)).numpy() for split in ("train", "test"))
    with torch.no_grad():
        back = run.view.model(torch.from_numpy(test)).numpy()
    model = ((back - test) ** 2).sum(axis=(1, 2, 3)).mean()
    mean = ((train.mean(axis=0) - test) ** 2).sum(axis=(1, 2, 3)).mean()
    assert told["percent of the mean image's"] == pytest.approx(100 * model / mean, rel=1e-3)
    assert errors_on_test(run.view, source)["mean image"] == pytest.approx(mean, rel=1e-4)
