import pytest
import torch

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize(("shape", "raw"), [((5,), (10,)), ((3, 4, 6), (6, 4, 6))])
def test_codes_become_any_data(shape, raw):
    decoder = build("decoder", context(shape, latent_dim=3, P=2), name="mlp", width=8)
    numbers = decoder(torch.randn(4, 3))
    assert numbers.shape == (4, *raw)
    assert_all_learn(decoder, numbers)


def test_default_widths_and_layout():
    decoder = build("decoder", context((5,), latent_dim=3), name="mlp", width=8)
    assert [layer.out_features for layer in decoder.layers if hasattr(layer, "out_features")] == [8, 16, 5]
    assert decoder.layout.sizes == [1, 1, 1]


def test_it_exports():
    assert_exports(build("decoder", context((5,)), name="mlp", width=8), torch.randn(2, 4), torch.randn(3, 4))
