from typing import get_args

import pytest
import torch
from torch import nn

from aerepr.layers.mlp import MLP, NONLINEARITIES, MLPs, Nonlinearity


def test_every_name_has_a_module():
    assert set(get_args(Nonlinearity)) == set(NONLINEARITIES)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_layers_alternate_and_the_last_is_linear(name):
    layers = MLP(3, [5, 4], 2, name)
    kinds = [type(layer) for layer in layers]
    assert kinds == [nn.Linear, NONLINEARITIES[name], nn.Linear, NONLINEARITIES[name], nn.Linear]
    assert layers(torch.randn(6, 3)).shape == (6, 2)


def test_without_hidden_layers_it_is_linear():
    assert [type(layer) for layer in MLP(3, [], 2, "mish")] == [nn.Linear]


def test_many_are_each_an_mlp_of_its_own():
    many = MLPs(3, 2, [5, 7], 4, "elu")
    x_NBI = torch.randn(3, 6, 2)
    for i, found in enumerate(many(x_NBI)):
        one = MLP(2, [5, 7], 4, "elu")
        linears = [layer for layer in one if isinstance(layer, nn.Linear)]
        for linear, weight, bias in zip(linears, many.weights, many.biases, strict=True):
            linear.weight.data, linear.bias.data = weight[i].T, bias[i, 0]
        torch.testing.assert_close(found, one(x_NBI[i]))
