import pytest
import torch

from aerepr.errors import ShapeError

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 16, 16), (1, 28, 28), (4, 32, 48)])
@pytest.mark.parametrize("P", [1, 2])
def test_codes_become_any_image(shape, P):
    decoder = build("decoder", context(shape, latent_dim=3, P=P), name="conv", width=6, depth=5)
    assert decoder(torch.randn(2, 3)).shape == (2, P * shape[0], *shape[1:])


def test_published_upsamplings_can_be_read_off():
    with torch.device("meta"):
        decoder = build("decoder", context((3, 64, 64)), name="conv")
        large = build("decoder", context((3, 128, 128)), name="conv")
    assert [number for number, block in enumerate(decoder.blocks, 1) if block.upsample] == [2, 4, 7, 10, 12]
    assert [number for number, block in enumerate(large.blocks, 1) if block.upsample] == [1, 4, 7, 10, 13, 16]
    assert decoder.root_size == (64, 2, 2)


@pytest.mark.parametrize(
    ("table", "widths"),
    [({"depth": 12}, [16, 32, 32]), ({"depth": 16}, [8, 16, 32, 32]), ({"depth": 12, "hidden": [5]}, [5, 32])],
)
def test_projection_widths(table, widths):
    decoder = build("decoder", context((3, 16, 16)), name="conv", width=8, **table)
    assert [layer.out_features for layer in decoder.projection if hasattr(layer, "out_features")] == widths


def test_the_layout_is_unstructured():
    assert build("decoder", context(latent_dim=4), name="conv", width=4, depth=2).layout.sizes == [1, 1, 1, 1]


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_every_parameter_learns(upsample):
    decoder = build("decoder", context(), name="conv", width=8, depth=4, upsample=upsample)
    assert_all_learn(decoder, decoder(torch.randn(3, 4)))


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_it_exports(upsample):
    decoder = build("decoder", context(), name="conv", width=8, depth=3, upsample=upsample)
    assert_exports(decoder, torch.randn(2, 4), torch.randn(5, 4))


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match='vector 5: use name = "mlp"'):
        build("decoder", context((5,)), name="conv")
