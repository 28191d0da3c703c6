import torch
from torch.testing import assert_close

from aerepr.layers.kernels import cauchy, squared_distances, unbiased_mmd


def test_distances_are_those_of_every_pair():
    x, y = torch.randn(3, 4).double(), torch.randn(5, 4).double()
    expected = torch.tensor([[((a - b) ** 2).sum() for b in y] for a in x]).double()
    assert_close(squared_distances(x, y), expected)


def test_the_kernel_is_one_at_zero_and_a_half_at_its_width():
    assert_close(cauchy(torch.tensor([0.0, 3.0]), [3.0]), torch.tensor([1.0, 0.5]))
    assert_close(cauchy(torch.tensor([4.0]), [1.0, 4.0]), torch.tensor([0.2 + 0.5]))


def test_mmd_is_the_loop_over_pairs():
    x, y = torch.randn(6, 3).double(), 0.5 + torch.randn(4, 3).double()

    def k(a, b):
        return 2.0 / (2.0 + float(((a - b) ** 2).sum()))

    within_x = sum(k(x[i], x[j]) for i in range(6) for j in range(6) if i != j) / 30
    within_y = sum(k(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / 12
    cross = sum(k(a, b) for a in x for b in y) / 24
    found = unbiased_mmd(x, y, lambda a, b: cauchy(squared_distances(a, b), [2.0]))
    assert_close(found.item(), within_x + within_y - 2 * cross)


def test_with_a_linear_kernel_it_is_the_squared_distance_of_the_means():
    # In expectation: over every way to draw two of three points, and two of another three.
    x, y = torch.randn(3, 2).double(), torch.randn(3, 2).double()
    pairs = [[0, 1], [0, 2], [1, 2]]
    drawn = [unbiased_mmd(x[a], y[b], lambda u, v: u @ v.T) for a in pairs for b in pairs]
    full = unbiased_mmd(x, y, lambda u, v: u @ v.T)
    assert_close(torch.stack(drawn).mean(), full)
    biased = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    assert_close(full, biased - x.var(dim=0).sum() / 3 - y.var(dim=0).sum() / 3)


def test_one_point_has_no_pairs():
    k = lambda a, b: cauchy(squared_distances(a, b), [1.0])  # noqa: E731
    x = torch.zeros(1, 2)
    assert_close(unbiased_mmd(x, x + 1, k), torch.tensor(-2 / 3))
