"""Validation looks at batches as like the training ones as their number allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from aerepr.training.update import Update


def test_no_batch_is_a_small_remainder(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    step_over = Update.step_over

    def noted(self: Update, rows: Tensor, number: Tensor, mode: str, stream: str, size: int) -> Any:
        if stream == "valid" and mode == "represent":
            seen.append(len(rows))
        return step_over(self, rows, number, mode, stream, size)

    monkeypatch.setattr(Update, "step_over", noted)
    # 20 validation rows: 14 and 6, were batches filled one after the other.
    run("run", "train.batch_size=14", "train.steps=1", "model.regularizers=[{name='mmd'}]")
    assert seen == [10, 10]
