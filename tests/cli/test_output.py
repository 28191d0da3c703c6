"""What `--json` prints is JSON, whatever the numbers are."""

from __future__ import annotations

import json
import math

import pytest

from aerepr.cli import output


def test_numbers_that_json_has_not_are_texts_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    output.show({"a": [1.5, math.inf, (math.nan,)], "b": {"c": -math.inf, "d": None, "e": True}}, True, str)
    printed = capsys.readouterr().out
    assert json.loads(printed, parse_constant=pytest.fail) == {
        "a": [1.5, "inf", ["nan"]],
        "b": {"c": "-inf", "d": None, "e": True},
    }
