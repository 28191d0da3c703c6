import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aerepr.errors import ShapeError
from aerepr.layers.conv import ConvBlock, MixedFirst, OutputConv, decoder_blocks, encoder_blocks, stencil2x
from aerepr.layers.positions import Plan


def bilinear(x):
    return nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def test_upsampling_weighs_three_to_one():
    row = torch.tensor([[[[0.0, 4.0]]]])
    assert stencil2x(row)[0, 0].tolist() == [[0.0, 1.0, 3.0, 4.0]] * 2


@given(height=st.integers(1, 7), width=st.integers(1, 7), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_upsampling_and_its_gradient_are_bilinear(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, height, width, dtype=torch.float64, generator=generator, requires_grad=True)
    pull = torch.randn(2, 3, 2 * height, 2 * width, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(stencil2x(x), bilinear(x))
    (ours,) = torch.autograd.grad((stencil2x(x) * pull).sum(), x)
    (theirs,) = torch.autograd.grad((bilinear(x) * pull).sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_upsampling_keeps_channels_last():
    x = torch.randn(2, 8, 4, 6).to(memory_format=torch.channels_last)
    assert stencil2x(x).is_contiguous(memory_format=torch.channels_last)


def test_a_block_pools_before_it_normalises():
    block = ConvBlock(3, 16, "elu", kernel=5, upsample="bilinear", downsample="pool")
    x = torch.randn(2, 3, 6, 6)
    pooled = nn.functional.max_pool2d(
        nn.functional.conv2d(bilinear(x), block.conv.weight, block.conv.bias, padding=2), 2
    )
    expected = nn.functional.elu(nn.functional.group_norm(pooled, 8, block.norm.weight, block.norm.bias))
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "groups"), [(64, 8), (12, 4), (6, 2), (7, 1)])
def test_groups_divide_the_channels(channels, groups):
    assert ConvBlock(1, channels, "mish").norm.num_groups == groups


def test_a_stride_halves_and_a_transposed_convolution_doubles():
    block = ConvBlock(3, 16, "elu", kernel=5, downsample="stride")
    x = torch.randn(2, 3, 6, 10)
    strided = nn.functional.conv2d(x, block.conv.weight, block.conv.bias, stride=2, padding=2)
    torch.testing.assert_close(block(x), nn.functional.elu(nn.functional.group_norm(strided, 8)))
    block = ConvBlock(3, 16, "elu", upsample="transposed")
    doubled = nn.functional.conv_transpose2d(x, block.conv.weight, block.conv.bias, stride=2, padding=1)
    assert block.conv.weight.shape == (3, 16, 4, 4)
    assert doubled.shape == (2, 16, 12, 20)
    torch.testing.assert_close(block(x), nn.functional.elu(nn.functional.group_norm(doubled, 8)))


def test_the_output_is_unconstrained():
    conv = OutputConv(4, 2, upsample="bilinear")
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(conv(x), conv.conv(stencil2x(x)))
    assert OutputConv(4, 2, upsample=None)(x).shape == (2, 2, 3, 3)
    transposed = OutputConv(4, 2, upsample="transposed")
    torch.testing.assert_close(transposed(x), transposed.conv(x))
    assert transposed(x).shape == (2, 2, 6, 6)


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_the_output_counts_as_a_block(upsample):
    blocks = decoder_blocks(Plan(4, (2, 4), (2, 2)), 8, 3, "relu", upsample)
    assert [block.upsample for block in blocks] == [None, upsample, None, upsample]
    assert isinstance(blocks[-1], OutputConv)


def test_what_is_joined_leaves_every_block_the_same_width():
    blocks = decoder_blocks(Plan(5, (), (2, 2)), 8, 3, "relu", "bilinear", joined=2, positions=(1, 3, 5))
    assert [block.conv.in_channels for block in blocks] == [8] * 5
    assert [block.conv.out_channels for block in blocks] == [8, 6, 8, 6, 3]


def test_the_first_kernel_of_an_encoder_is_its_own():
    blocks = encoder_blocks(Plan(3, (1, 3), (2, 2)), 3, 8, 7, "relu", "pool")
    assert [block.conv.kernel_size[0] for block in blocks] == [7, 3, 3]
    assert [block.downsample for block in blocks] == ["pool", None, "pool"]
    with pytest.raises(ShapeError, match="first_kernel must be odd, got 4: use 5"):
        encoder_blocks(Plan(3, (1, 3), (2, 2)), 3, 8, 4, "relu", "pool")


@pytest.mark.parametrize(("outputs", "height", "width"), [(1, 1, 1), (3, 4, 6), (2, 5, 3)])
def test_mixing_channels_first_is_the_same_map_at_the_borders_too(outputs, height, width):
    block = OutputConv(64, outputs, "bilinear").double()
    x = torch.randn(3, 64, height, width, dtype=torch.float64)
    torch.testing.assert_close(MixedFirst(block)(x), block(x))


@pytest.mark.parametrize(
    ("inputs", "outputs", "upsample", "pays"),
    [
        (64, 3, "bilinear", True),
        (18, 1, "bilinear", True),
        (17, 1, "bilinear", False),
        (64, 3, None, False),
        (64, 3, "transposed", False),
    ],
)
def test_mixing_channels_first_pays_where_few_come_out(inputs, outputs, upsample, pays):
    assert MixedFirst.pays(OutputConv(inputs, outputs, upsample)) == pays
