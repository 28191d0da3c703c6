import pytest
import torch

from aerepr.builtin.traversals.chunks import ChunkHybridisation, ChunkHybridisationSpec
from aerepr.errors import ShapeError
from aerepr.kinds.layout import LatentLayout

from .stored import Stored

# The whole part of a stored value tells its row, the fraction its dimension.
CODES = torch.arange(50.0)[:, None] + torch.arange(10.0) / 16
RUN = Stored(CODES, LatentLayout.of_sizes([2] * 5))


def paths(base_BD, run=RUN, **table):
    return ChunkHybridisation(ChunkHybridisationSpec(name="chunks", **table)).paths(run, base_BD)


def test_each_path_redraws_one_chunk():
    base = torch.full((1, 10), -1.0)
    found = paths(base, chunks=2)
    assert [path.label for path in found] == ["z1-z2", "z3-z5"]
    assert torch.equal(found[0].z_SD[:, 4:], base[:, 4:].expand(7, 6))
    assert torch.equal(found[1].z_SD[:, :4], base[:, :4].expand(7, 4))
    assert (found[0].z_SD[:, :4] >= 0).all()
    assert (found[1].z_SD[:, 4:] >= 0).all()


@pytest.mark.parametrize("count", [4, 12])
def test_quarters_of_twelve_dimensions_are_three_each(count):
    # Four variables of three, or the twelve single ones of a decoder without structure: the same dimensions are redrawn.
    base = torch.full((1, 12), -1.0)
    run = Stored(torch.rand(50, 12), LatentLayout.equal(12, count))
    redrawn = [(path.z_SD != -1).all(dim=0).nonzero().flatten().tolist() for path in paths(base, run)]
    assert redrawn == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_values_are_stored_ones_of_the_same_dimension_drawn_alone():
    (path,) = paths(torch.zeros(1, 10), chunks=1, steps=40)
    assert torch.equal(path.z_SD.frac(), CODES[:1].frac().expand(40, 10))
    rows = path.z_SD.floor()
    assert rows.max() < 50
    assert (rows[:, 0] != rows[:, 1]).any()
    assert len(rows.unique()) > 40


def test_the_seed_decides():
    base = torch.zeros(1, 10)
    same, again, other = (paths(base, seed=seed)[0].z_SD for seed in (0, 0, 1))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


def test_a_chunk_of_one_variable_has_its_name():
    assert [path.label for path in paths(torch.zeros(1, 10), chunks=5)] == ["z1", "z2", "z3", "z4", "z5"]


def test_more_chunks_than_variables_are_refused():
    with pytest.raises(ShapeError, match="5 variables do not make 6 chunks"):
        paths(torch.zeros(1, 10), chunks=6)
