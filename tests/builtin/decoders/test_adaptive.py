import pytest
import torch

from aerepr.errors import ShapeError

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 16, 16), (4, 32, 48)])
def test_codes_become_any_image(shape):
    decoder = build("decoder", context(shape, latent_dim=5, P=2), name="adaptive", layers=2, width=6, depth=6)
    assert decoder(torch.randn(2, 5)).shape == (2, 2 * shape[0], *shape[1:])


def test_every_layer_sees_every_dimension():
    decoder = build("decoder", context(latent_dim=3), name="adaptive", layers=2, width=8, depth=4)
    assert decoder.layout.sizes == [1, 1, 1]
    assert decoder.cascade.str_tfm.weights[0].shape[:2] == (2, 3)
    z = torch.randn(2, 3)
    alpha, _ = decoder.cascade.str_tfm(z.expand(2, -1, -1))
    for d in range(3):
        moved = z.clone()
        moved[:, d] += 1
        assert (decoder.cascade.str_tfm(moved.expand(2, -1, -1))[0] != alpha).all(dim=-1).all()


def test_left_out_there_is_a_layer_before_every_block():
    decoder = build("decoder", context(latent_dim=3), name="adaptive", width=4, depth=5)
    assert decoder.cascade.positions == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_every_parameter_learns(upsample):
    decoder = build("decoder", context(), name="adaptive", layers=2, width=8, depth=4, upsample=upsample)
    assert_all_learn(decoder, decoder(torch.randn(3, 4)))


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_it_exports(upsample):
    decoder = build("decoder", context(), name="adaptive", layers=2, width=8, depth=4, upsample=upsample)
    assert_exports(decoder, torch.randn(2, 4), torch.randn(5, 4))


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match='vector 5: use name = "mlp"'):
        build("decoder", context((5,)), name="adaptive")
