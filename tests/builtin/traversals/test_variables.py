import torch
from torch.testing import assert_close

from aerepr.builtin.traversals.variables import VariableTraversal, VariableTraversalSpec
from aerepr.kinds.layout import LatentLayout

from .stored import Stored

RUN = Stored(torch.tensor([[0.0, -1.0, 5.0], [6.0, 1.0, 8.0], [3.0, 0.0, 6.0]]), LatentLayout.of_sizes([2, 1]))


def paths(base_BD, **table):
    return VariableTraversal(VariableTraversalSpec(name="variables", **table)).paths(RUN, base_BD)


def test_the_dimensions_of_a_variable_are_swept_together():
    base = torch.tensor([[100.0, 200.0, 300.0]])
    pair, single = paths(base, steps=3)
    assert (pair.label, single.label) == ("z1", "z2")
    assert_close(pair.z_SD, torch.tensor([[0.0, -1.0, 300.0], [3.0, 0.0, 300.0], [6.0, 1.0, 300.0]]))
    assert_close(single.z_SD, torch.tensor([[100.0, 200.0, 5.0], [100.0, 200.0, 6.5], [100.0, 200.0, 8.0]]))


def test_every_base_has_its_paths():
    base = torch.randn(2, 3)
    found = paths(base)
    assert [path.label for path in found] == ["z1", "z2", "z1", "z2"]
    assert all(path.z_SD.shape == (7, 3) for path in found)
    assert torch.equal(found[2].z_SD[:, 2], base[1, 2].expand(7))
