import pytest
import torch
from torch import nn

from aerepr.errors import ShapeError
from aerepr.kinds.layout import LatentLayout
from aerepr.layers.mlp import MLP

from ..building import assert_all_learn, assert_exports, build, context


def ladder(shape=(3, 8, 8), sizes=(2, 2), K=1, **table):
    layout = LatentLayout.of_sizes(list(sizes))
    return build("encoder", context(shape, latent_dim=sum(sizes), K=K, layout=layout), name="ladder", **table)


def stir(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.rand_like(parameter) + 0.5)


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 16, 16), (1, 28, 28), (4, 32, 48), (3, 48, 48)])
@pytest.mark.parametrize("sizes", [(1,), (3, 3), (1, 2, 3)])
def test_any_image_becomes_parameters(shape, sizes):
    encoder = ladder(shape, sizes, K=2, width=6, depth=6)
    assert encoder(torch.rand(2, *shape)).shape == (2, sum(sizes), 2)


@pytest.mark.parametrize("decoder", [{"name": "structural", "variables": 3}, {"name": "conv"}, {"name": "adaptive"}])
def test_any_decoder_says_which_variables_there_are(decoder):
    ctx = context((3, 16, 16), latent_dim=6, K=2)
    layout = build("decoder", ctx, width=8, depth=6, **decoder).layout
    encoder = build("encoder", context((3, 16, 16), 6, K=2, layout=layout), name="ladder", width=8, depth=6)
    assert len(encoder.positions) == len(layout)
    assert encoder(torch.rand(2, 3, 16, 16)).shape == (2, 6, 2)


@pytest.mark.parametrize(("depth", "hidden"), [(12, [16, 8]), (16, [16, 8, 4])])
def test_each_rung_is_an_mlp_on_the_maximum_of_its_block(depth, hidden):
    sizes, K = (1, 2, 1, 4), 2
    encoder = ladder((3, 16, 16), sizes, K, width=8, depth=depth)
    x, tapped = torch.rand(5, 3, 16, 16), []
    params = encoder(x)
    for number, block in enumerate(encoder.blocks, 1):
        x = block(x)
        if number in encoder.positions:
            tapped.append(nn.functional.adaptive_max_pool2d(x, 1).flatten(1))
    start = 0
    for rung, (size, features) in enumerate(zip(sizes, reversed(tapped), strict=True)):
        mlp = MLP(8, hidden, size * K, "mish")
        *inner, last = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        for linear, weight, bias in zip(inner, encoder.rungs.weights, encoder.rungs.biases, strict=True):
            linear.weight.data, linear.bias.data = weight[rung].T, bias[rung, 0]
        rows = slice(start, start + size)
        last.weight.data = encoder.rows.weights[0][rows].transpose(1, 2).flatten(0, 1)
        last.bias.data = encoder.rows.biases[0][rows].flatten()
        torch.testing.assert_close(params[:, rows].flatten(1), mlp(features))
        start += size


def test_the_deepest_rung_comes_first_and_sees_every_block():
    encoder = ladder(sizes=(1, 2, 1), width=8, depth=6)
    assert encoder.positions == (2, 4, 6)
    x = torch.rand(2, 3, 8, 8)
    before = encoder(x)
    deepest_first = [tap for tap, size in zip((6, 4, 2), (1, 2, 1), strict=True) for _ in range(size)]
    state = {key: value.clone() for key, value in encoder.state_dict().items()}
    for number, block in enumerate(encoder.blocks, 1):
        stir(block)
        changed = (encoder(x) != before).any(dim=2).all(dim=0)
        assert changed.tolist() == [tap >= number for tap in deepest_first]
        encoder.load_state_dict(state)


def test_a_rung_gives_its_own_variable_alone():
    encoder = ladder(sizes=(1, 2, 1), width=8, depth=6)
    x = torch.rand(2, 3, 8, 8)
    before = encoder(x)
    for rung, own in enumerate([(0,), (1, 2), (3,)]):
        state = {key: value.clone() for key, value in encoder.state_dict().items()}
        encoder.rungs.biases[0].data[rung] += 1
        assert (encoder(x) != before).flatten(2).any(dim=2).any(dim=0).nonzero().flatten().tolist() == list(own)
        encoder.load_state_dict(state)


@pytest.mark.parametrize(
    ("table", "positions", "pools"),
    [
        ({"depth": 8}, (4, 8), [1, 3, 5]),
        ({"depth": 5, "rungs": [2, 5]}, (2, 5), [1, 2, 3]),
        ({"depth": 5, "rungs": [2, 5], "halvings": [3]}, (2, 5), [3]),
        ({"depth": 6, "halvings": []}, (3, 6), []),
    ],
)
def test_rungs_and_halvings_can_be_placed(table, positions, pools):
    encoder = ladder((3, 16, 16), width=8, **table)
    assert encoder.positions == positions
    assert [number for number, block in enumerate(encoder.blocks, 1) if block.downsample] == pools
    assert_all_learn(encoder, encoder(torch.rand(3, 3, 16, 16)))


@pytest.mark.parametrize("downsample", ["pool", "stride"])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 1), (1, 1, 1, 1)])
def test_every_parameter_learns(sizes, downsample):
    encoder = ladder(sizes=sizes, K=2, width=8, depth=4, downsample=downsample)
    assert_all_learn(encoder, encoder(torch.rand(3, 3, 8, 8)))


@pytest.mark.parametrize("downsample", ["pool", "stride"])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 1)])
def test_it_exports(sizes, downsample):
    encoder = ladder(sizes=sizes, K=2, width=8, depth=4, downsample=downsample)
    assert_exports(encoder, torch.rand(2, 3, 8, 8), torch.rand(5, 3, 8, 8))


def test_channels_last_changes_no_number():
    encoder = ladder(width=8, depth=4)
    x = torch.rand(3, 3, 8, 8)
    last = encoder(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, encoder(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"depth": 5}, "2 rungs do not spread evenly over 5 blocks: use one of 1, 5 rungs, or a depth .* such as 6"),
        ({"depth": 6, "rungs": [2, 4, 6]}, "rungs names 3 blocks and the decoder has 2 variables"),
        ({"depth": 6, "rungs": [2, 4]}, "nothing sees the blocks after the last rung, 4: put a rung at block 6"),
        ({"depth": 6, "rungs": [4, 2]}, r"rungs must be rising numbers of blocks from 1 to 6, got \[4, 2\]"),
        ({"depth": 6, "rungs": [2, 7]}, "from 1 to 6"),
        ({"depth": 6, "halvings": [1, 2, 3, 4]}, "8x8 do not halve exactly 4 times"),
        ({"depth": 6, "first_kernel": 4}, "first_kernel must be odd"),
    ],
)
def test_what_does_not_fit_is_refused(table, message):
    with pytest.raises(ShapeError, match=message):
        ladder(width=8, **table)


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match='vector 5: use name = "mlp"'):
        ladder((5,))
