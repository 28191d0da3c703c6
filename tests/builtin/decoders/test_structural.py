import pytest
import torch

from aerepr.errors import ShapeError

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 16, 16), (1, 28, 28), (4, 32, 48)])
@pytest.mark.parametrize("P", [1, 2])
def test_codes_become_any_image(shape, P):
    decoder = build("decoder", context(shape, P=P), name="structural", variables=2, width=6, depth=6)
    assert decoder(torch.randn(2, 4)).shape == (2, P * shape[0], *shape[1:])


@pytest.mark.parametrize(
    ("variables", "positions"), [(2, (1, 7)), (3, (1, 5, 9)), (4, (1, 4, 7, 10)), (12, tuple(range(1, 13)))]
)
def test_published_positions_can_be_read_off(variables, positions):
    with torch.device("meta"):
        decoder = build("decoder", context((3, 64, 64), latent_dim=12), name="structural", variables=variables)
    assert decoder.cascade.positions == positions
    assert [number for number, block in enumerate(decoder.cascade.blocks, 1) if block.upsample] == [2, 4, 7, 10, 12]
    assert decoder.cascade.root.shape == (64, 2, 2)
    assert decoder.layout.sizes == [12 // variables] * variables


@pytest.mark.parametrize(("depth", "widths"), [(12, [8, 16, 16]), (16, [4, 8, 16, 16])])
def test_widths_of_the_layers(depth, widths):
    decoder = build("decoder", context((3, 16, 16)), name="structural", width=8, depth=depth)
    assert [bias.shape[-1] for bias in decoder.cascade.str_tfm.biases] == widths


def test_each_variable_enters_at_its_own_layer():
    decoder = build("decoder", context((3, 8, 8), latent_dim=6), name="structural", variables=3, width=8, depth=6)
    seen = []
    for block in decoder.cascade.blocks:
        block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    base, other = torch.randn(1, 6), torch.randn(1, 6)
    decoder(base)
    before = list(seen)
    for variable, layer in zip(decoder.layout, decoder.cascade.positions, strict=True):
        z = base.clone()
        z[:, variable.start : variable.stop] = other[:, variable.start : variable.stop]
        seen.clear()
        decoder(z)
        changed = [not torch.equal(a, b) for a, b in zip(before, seen, strict=True)]
        assert changed == [number >= layer for number in range(1, 7)]


def test_left_out_each_dimension_is_a_variable():
    decoder = build("decoder", context(latent_dim=3), name="structural", width=4, depth=6)
    assert decoder.layout.sizes == [1, 1, 1]


def test_identity_start_brings_scales_nearer_to_one():
    z = torch.randn(2, 4)
    spread = {}
    for start in (False, True):
        torch.manual_seed(0)
        table = {"name": "structural", "width": 8, "depth": 4, "identity_start": start}
        decoder = build("decoder", context(), **table)
        alpha, _ = decoder.cascade.str_tfm(z.T.unsqueeze(-1))
        spread[start] = (alpha - 1).abs().mean()
    assert spread[True] < spread[False]


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_every_parameter_learns(upsample):
    decoder = build("decoder", context(), name="structural", variables=2, width=8, depth=4, upsample=upsample)
    assert_all_learn(decoder, decoder(torch.randn(3, 4)))


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_it_exports(upsample):
    decoder = build("decoder", context(), name="structural", variables=2, width=8, depth=4, upsample=upsample)
    assert_exports(decoder, torch.randn(2, 4), torch.randn(5, 4))


def test_an_uneven_split_of_the_latent_is_refused():
    with pytest.raises(ShapeError, match="12 latent dimensions do not split into 5 equal variables"):
        build("decoder", context(latent_dim=12), name="structural", variables=5)


def test_an_uneven_spread_over_the_blocks_is_refused():
    with pytest.raises(ShapeError, match="5 Str-Tfm layers do not spread evenly over 12 blocks"):
        build("decoder", context(latent_dim=10), name="structural", variables=5)


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match='vector 5: use name = "structural_mlp"'):
        build("decoder", context((5,)), name="structural")
