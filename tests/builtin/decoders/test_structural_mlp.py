import pytest
import torch

from aerepr.errors import ShapeError

from ..building import assert_all_learn, assert_exports, build, context


def test_codes_become_vectors():
    decoder = build("decoder", context((5,), P=2), name="structural_mlp", variables=2, width=8, depth=4)
    assert decoder.layout.sizes == [2, 2]
    assert decoder.cascade.positions == (1, 3)
    numbers = decoder(torch.randn(3, 4))
    assert numbers.shape == (3, 10)
    assert_all_learn(decoder, numbers)


def test_left_out_there_is_a_block_for_each_dimension():
    decoder = build("decoder", context((5,), latent_dim=3), name="structural_mlp", width=8)
    assert decoder.layout.sizes == [1, 1, 1]
    assert decoder.cascade.positions == (1, 2, 3)
    assert [bias.shape[-1] for bias in decoder.cascade.str_tfm.biases] == [8, 16, 16]


def test_it_exports():
    decoder = build("decoder", context((5,)), name="structural_mlp", width=8)
    assert_exports(decoder, torch.randn(2, 4), torch.randn(5, 4))


def test_an_uneven_spread_over_the_blocks_is_refused():
    with pytest.raises(ShapeError, match="4 Str-Tfm layers do not spread evenly over 6 blocks"):
        build("decoder", context((5,)), name="structural_mlp", variables=4, depth=6)


def test_images_are_refused():
    with pytest.raises(ShapeError, match='image 3x8x8: use name = "structural"'):
        build("decoder", context(), name="structural_mlp")
