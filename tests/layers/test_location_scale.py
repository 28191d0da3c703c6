import torch

from aerepr.layers.location_scale import full_precision, to_location, to_scale


def test_a_learned_scale_starts_at_the_fixed_one():
    torch.testing.assert_close(to_scale(torch.zeros(2), torch.tensor(0.3), 0.001), torch.full((2,), 0.301))


def test_a_learned_scale_never_falls_below_the_floor():
    assert to_scale(torch.tensor(-1e4), torch.tensor(1.0), 0.25) == 0.25


def test_the_location_is_the_first_number_of_all_channels():
    raw = torch.arange(4.0).reshape(1, 4, 1, 1)
    assert to_location(raw, 2, squash=False).flatten().tolist() == [0.0, 1.0]
    torch.testing.assert_close(to_location(raw, 2, squash=True).flatten(), torch.tensor([0.0, 1.0]).sigmoid())


def test_half_precision_is_raised_and_double_kept():
    assert full_precision(torch.zeros(1).bfloat16()).dtype == torch.float32
    assert full_precision(torch.zeros(1).double()).dtype == torch.float64
