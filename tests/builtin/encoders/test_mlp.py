import pytest
import torch

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize("shape", [(5,), (3, 4, 6)])
def test_any_data_becomes_parameters(shape):
    encoder = build("encoder", context(shape, latent_dim=3, K=2), name="mlp", width=8)
    x = torch.rand(4, *shape)
    assert encoder(x).shape == (4, 3, 2)
    assert_all_learn(encoder, encoder(x))


def test_default_widths():
    encoder = build("encoder", context((5,)), name="mlp", width=8)
    assert [layer.out_features for layer in encoder.layers if hasattr(layer, "out_features")] == [16, 8, 4]


def test_it_exports():
    assert_exports(build("encoder", context((5,)), name="mlp", width=8), torch.rand(2, 5), torch.rand(3, 5))
