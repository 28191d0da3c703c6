"""JSON files of a run: an object, or one error that names the file."""

from pathlib import Path

import pytest

from aerepr.errors import RunDirectoryError
from aerepr.rundir.objects import read_object


def test_an_object_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"runs": [1]}')
    assert read_object(path) == {"runs": [1]}


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "cannot be read"), ('{"runs": ', "cannot be read"), ("[1]", "expected an object, got list")],
)
def test_anything_else_is_an_error_that_names_the_file(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunDirectoryError, match=rf"plan\.json: .*{told}"):
        read_object(path)
