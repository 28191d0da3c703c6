"""The order of the data is a function of (seed, stream, epoch), the same for all processes."""

from __future__ import annotations

import numpy as np
import torch

from aerepr.training.batches import Order

ROWS = np.arange(100, 150)
CPU = torch.device("cpu")


def order(seed: int = 0, stream: str = "data", rank: int = 0, ranks: int = 1) -> Order:
    return Order(ROWS, 12, seed, stream, CPU, rank, ranks)


def epoch(found: Order, number: int) -> list[int]:
    """All rows of an epoch: four batches of 12, and the last two rows dropped."""
    return torch.cat([found.batch(4 * number + i) for i in range(4)]).tolist()


def test_an_epoch_holds_every_row_once_but_the_incomplete_batch() -> None:
    first = epoch(order(), 0)
    assert len(first) == len(set(first)) == 48
    assert set(first) < set(ROWS.tolist())
    assert first != sorted(first)


def test_epochs_seeds_and_streams_have_orders_of_their_own() -> None:
    orders = [epoch(order(), 0), epoch(order(), 1), epoch(order(1), 0), epoch(order(stream="extra0"), 0)]
    assert len({tuple(rows) for rows in orders}) == 4


def test_a_position_needs_no_history() -> None:
    walked = order()
    for position in (0, 5, 1, 9, 4):
        assert torch.equal(walked.batch(position), order().batch(position))


def test_ranks_share_each_batch() -> None:
    for position in (0, 3, 7):
        slices = [order(rank=rank, ranks=3).batch(position) for rank in range(3)]
        assert [len(part) for part in slices] == [4, 4, 4]
        assert torch.equal(torch.cat(slices), order().batch(position))
