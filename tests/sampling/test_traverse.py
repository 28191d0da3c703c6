from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from aerepr.errors import SpecError, UnknownComponent, UsageError
from aerepr.kinds.traversal import Path as LatentPath
from aerepr.kinds.traversal import Traversal
from aerepr.registry.registry import Registry
from aerepr.sampling.sample import decode
from aerepr.sampling.traverse import base_code, build_traversal, traverse


def test_a_traversal_spans_the_codes_and_holds_the_rest(view):
    base = base_code(view)
    rows = traverse(view, build_traversal("variables", {"steps": 5}, Registry()), base)
    for row, variable in zip(rows, view.layout, strict=True):
        inside = slice(variable.start, variable.stop)
        assert_close(row.z[0, inside], view.codes[:, inside].amin(dim=0))
        assert_close(row.z[-1, inside], view.codes[:, inside].amax(dim=0))
        outside = [d for d in range(4) if not variable.start <= d < variable.stop]
        assert torch.equal(row.z[:, outside], base[:, outside].expand(5, -1))
        assert len(row.z) == 5


def test_rows_are_in_decoder_order(view):
    rows = traverse(view, build_traversal("variables", {}, Registry()), base_code(view))
    assert [row.label for row in rows] == [variable.name for variable in view.layout]
    rows = traverse(view, build_traversal("dimensions", {}, Registry()), base_code(view))
    moved = [int((row.z[0] != row.z[-1]).nonzero()[0]) for row in rows]
    assert moved == [0, 1, 2, 3]


class Uneven(Traversal):
    def __init__(self) -> None: ...

    def paths(self, run, base_BD):
        return [LatentPath(str(n), run.codes[:n]) for n in (3, 1, 70)]


def test_each_row_holds_what_its_own_codes_decode_to(view):
    rows = traverse(view, Uneven(), base_code(view))
    assert [(row.label, len(row.values)) for row in rows] == [("3", 3), ("1", 1), ("70", 70)]
    for row in rows:
        assert_close(row.values, decode(view, row.z), rtol=0, atol=1e-6)


def test_the_base_is_a_test_example(view):
    assert_close(base_code(view, 4), view.model.encode(view.gallery[4:5]))
    assert not torch.equal(base_code(view, 4), base_code(view))


def test_without_a_gallery_the_base_is_the_typical_code(vectors):
    codes = vectors.codes
    distances = (codes - codes.mean(dim=0)).norm(dim=1)
    assert torch.equal(base_code(vectors)[0], codes[distances.argmin()])


def test_a_base_that_is_not_kept_is_refused(view, vectors):
    for index in (10, -1):
        with pytest.raises(UsageError, match=rf"from 0 to 9, got {index}: the run keeps 10"):
            base_code(view, index)
    with pytest.raises(UsageError, match=r"base: expected 0, got 1.*gallery = 0"):
        base_code(vectors, 1)


def test_wrong_names_and_settings():
    with pytest.raises(UnknownComponent, match='did you mean "variables"'):
        build_traversal("variable", {}, Registry())
    with pytest.raises(SpecError, match=r"steps +must be greater than or equal to 2, got 1"):
        build_traversal("variables", {"steps": 1}, Registry())
