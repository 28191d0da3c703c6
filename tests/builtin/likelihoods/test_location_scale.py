import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Laplace, Normal
from torch.testing import assert_close

from ..building import REGISTRY, build, context


@pytest.fixture(params=["gaussian", "laplace"])
def name(request):
    return request.param


@pytest.fixture
def likelihood(name):
    return lambda shape=(5,), **table: build("likelihood", context(shape), name=name, **table)


def test_fixed_scale_sums_the_densities_of_all_values(name, likelihood):
    raw, x = torch.randn(3, 5), torch.randn(3, 5)
    distribution = likelihood(scale=0.5)(raw)
    assert_close(distribution.log_prob(x), {"gaussian": Normal, "laplace": Laplace}[name](raw, 0.5).log_prob(x).sum(1))
    assert (distribution.batch_shape, distribution.event_shape) == ((3,), (5,))


@pytest.mark.parametrize(("name", "cost"), [("gaussian", 9 / 2), ("laplace", 3.0)])
def test_unit_scale_costs_half_the_squared_or_the_absolute_error(likelihood, cost):
    component = likelihood()
    exact = component(torch.zeros(1, 5)).log_prob(torch.zeros(1, 5))
    off = component(torch.zeros(1, 5)).log_prob(torch.full((1, 5), 3.0))
    assert_close(exact - off, torch.tensor([5 * cost]))


def test_means_of_images_are_squashed_and_of_vectors_not(likelihood):
    image, vector = torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    assert_close(likelihood((3, 8, 8)).mean(image), image.sigmoid())
    assert_close(likelihood((3, 8, 8))(image).mean, image.sigmoid())
    assert torch.equal(likelihood((3, 8, 8), squash=False).mean(image), image)
    assert torch.equal(likelihood().mean(vector), vector)
    assert_close(likelihood(squash=True).mean(vector), vector.sigmoid())


def test_global_scale_is_one_parameter_that_starts_at_the_fixed_one(likelihood):
    component = likelihood(learned="global", scale=0.3, floor=0.01)
    assert component.P == 1
    (parameter,) = component.parameters()
    assert parameter.shape == ()
    assert_close(component(torch.randn(2, 5)).base_dist.scale.unique(), torch.tensor([0.31]))
    component(torch.randn(2, 5)).log_prob(torch.randn(2, 5)).sum().backward()
    assert parameter.grad


def test_scale_of_each_value_is_its_second_number(likelihood):
    component = likelihood(learned="per_value", floor=0.25)
    assert component.P == 2
    raw = torch.cat([torch.randn(2, 5), torch.full((2, 5), -1e4)], dim=1)
    distribution = component(raw)
    assert torch.equal(component.mean(raw), raw[:, :5])
    assert_close(distribution.base_dist.scale, torch.full((2, 5), 0.25))
    assert (distribution.batch_shape, distribution.event_shape) == ((2,), (5,))


@pytest.mark.parametrize("learned", ["none", "global", "per_value"])
def test_a_schedule_drives_the_scale(likelihood, learned):
    component = likelihood(learned=learned)
    assert component.scale.dtype == torch.float32
    assert component.scale.shape == ()
    raw = torch.randn(2, 5 * component.P)
    before = component(raw).base_dist.scale.clone()
    component.scale.fill_(3.0)
    assert (component(raw).base_dist.scale > 2 * before).all()


def test_scales_that_are_not_positive_are_refused(name):
    with pytest.raises(ValidationError, match="greater than 0"):
        REGISTRY.load("likelihood", name).Spec(name=name, scale=0.0)
