import sys

import numpy as np
import pytest

from aerepr.builtin.loggers.tensorboard import TensorBoardLogger, TensorBoardLoggerSpec
from aerepr.errors import MissingExtra

SPEC = TensorBoardLoggerSpec(name="tensorboard")


def read(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tb"))
    events.Reload()
    return events


def test_records_and_pictures_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(SPEC, tmp_path, 0)
    logger.record(50, {"train/loss": 2.5, "lr": 0.1})
    logger.picture(50, "reconstructions", np.zeros((4, 6, 3), dtype=np.uint8))
    logger.close()
    events = read(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(50, 2.5)]
    (picture,) = events.Images("reconstructions")
    assert (picture.step, picture.height, picture.width) == (50, 4, 6)


def test_a_resumed_run_draws_one_line(tmp_path):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(SPEC, tmp_path, 0)
    for step in (50, 100, 150):
        logger.record(step, {"loss": 1.0})
    logger.close()
    resumed = TensorBoardLogger(SPEC, tmp_path, 100)
    resumed.record(100, {"loss": 2.0})
    resumed.close()
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("loss")] == [(50, 1.0), (100, 2.0)]


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r'pip install "aerepr\[tb\]"'):
        TensorBoardLogger(SPEC, tmp_path, 0)
