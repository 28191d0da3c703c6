import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close

from aerepr.builtin.traversals.dimensions import DimensionTraversal, DimensionTraversalSpec
from aerepr.kinds.layout import LatentLayout

from .stored import Stored

RUN = Stored(torch.tensor([[0.0, -1.0, 5.0], [6.0, 1.0, 8.0], [3.0, 0.0, 6.0]]), LatentLayout.of_sizes([2, 1]))


def paths(base_BD, **table):
    return DimensionTraversal(DimensionTraversalSpec(name="dimensions", **table)).paths(RUN, base_BD)


def test_each_dimension_goes_from_its_least_to_its_greatest_value():
    base = torch.tensor([[100.0, 200.0, 300.0]])
    found = paths(base)
    assert [path.label for path in found] == ["z1[1]", "z1[2]", "z2"]
    assert_close(found[0].z_SD[:, 0], torch.arange(7.0))
    assert found[2].z_SD[[0, 6], 2].tolist() == [5.0, 8.0]
    for d, path in enumerate(found):
        others = [k for k in range(3) if k != d]
        assert torch.equal(path.z_SD[:, others], base[:, others].expand(7, 2))


def test_every_base_has_its_paths():
    base = torch.randn(2, 3)
    found = paths(base, steps=4)
    assert len(found) == 6
    assert all(path.z_SD.shape == (4, 3) for path in found)
    assert torch.equal(found[3].z_SD[0, 1:], base[1, 1:])


def test_a_path_has_two_ends():
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        DimensionTraversalSpec(name="dimensions", steps=1)
