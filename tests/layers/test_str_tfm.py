import pytest
import torch
from torch import nn

from aerepr.layers.mlp import MLP
from aerepr.layers.str_tfm import Cascade, StrTfm, modulate


def test_each_layer_is_an_mlp_of_its_own():
    layers = StrTfm(3, 2, [5, 7], 4, "mish")
    z_NBI = torch.randn(3, 6, 2)
    alpha_NBC, beta_NBC = layers(z_NBI)
    for i in range(3):
        mlp = MLP(2, [5, 7], 8, "mish")
        linears = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        for linear, weight, bias in zip(linears, layers.weights, layers.biases, strict=True):
            linear.weight.data, linear.bias.data = weight[i].T, bias[i, 0]
        numbers = mlp(z_NBI[i])
        torch.testing.assert_close(beta_NBC[i], numbers[:, :4])
        torch.testing.assert_close(alpha_NBC[i], numbers[:, 4:].exp())


def test_weights_start_as_those_of_linear_layers():
    layers = StrTfm(50, 4, [16], 8, "mish")
    for parameter, fan_in in zip([*layers.weights, *layers.biases], [4, 16, 4, 16], strict=True):
        assert parameter.abs().max() <= fan_in**-0.5
        assert parameter.std().item() == pytest.approx(fan_in**-0.5 / 3**0.5, rel=0.1)


def test_identity_start_zeroes_the_last_biases_alone():
    layers = StrTfm(2, 3, [4], 5, "mish", identity_start=True)
    assert not layers.biases[-1].any()
    assert layers.biases[0].all()
    assert StrTfm(2, 3, [4], 5, "mish").biases[-1].all()


def test_modulation_scales_and_shifts_channels():
    alpha, beta = torch.tensor([[2.0, 3.0]]), torch.tensor([[10.0, 20.0]])
    image, pixels = torch.ones(1, 2, 2, 2), (..., None, None)
    assert modulate(image, alpha[pixels], beta[pixels]).tolist() == [[[[12.0] * 2] * 2, [[23.0] * 2] * 2]]
    assert modulate(torch.ones(1, 2), alpha, beta).tolist() == [[12.0, 23.0]]


def test_modulation_keeps_the_precision_of_the_features():
    assert modulate(torch.ones(1, 2).bfloat16(), torch.ones(1, 2), torch.ones(1, 2)).dtype == torch.bfloat16


def test_a_cascade_modulates_before_the_named_blocks():
    cascade = Cascade((4,), nn.ModuleList(nn.Tanh() for _ in range(4)), (1, 3), StrTfm(2, 1, [3], 4, "mish"))
    z_NBI = torch.randn(2, 5, 1)
    alpha, beta = cascade.str_tfm(z_NBI)
    features = (alpha[0] * cascade.root + beta[0]).tanh().tanh()
    expected = (alpha[1] * features + beta[1]).tanh().tanh()
    torch.testing.assert_close(cascade(z_NBI), expected)


def test_a_cascade_of_images_modulates_all_pixels_of_a_channel():
    cascade = Cascade((3, 2, 4), nn.ModuleList([nn.Identity(), nn.Tanh()]), (1, 2), StrTfm(2, 1, [3], 3, "mish"))
    z_NBI = torch.randn(2, 5, 1)
    alpha, beta = (numbers.view(2, 5, 3, 1, 1) for numbers in cascade.str_tfm(z_NBI))
    expected = (alpha[1] * (alpha[0] * cascade.root + beta[0]) + beta[1]).tanh()
    torch.testing.assert_close(cascade(z_NBI), expected)
