import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aerepr.layers.conv import ConvBlock, OutputConv, decoder_blocks, stencil2x


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
    block = ConvBlock(3, 16, "elu", kernel=5, upsample=True, pool=True)
    x = torch.randn(2, 3, 6, 6)
    pooled = nn.functional.max_pool2d(
        nn.functional.conv2d(bilinear(x), block.conv.weight, block.conv.bias, padding=2), 2
    )
    expected = nn.functional.elu(nn.functional.group_norm(pooled, 8, block.norm.weight, block.norm.bias))
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "groups"), [(64, 8), (12, 4), (6, 2), (7, 1)])
def test_groups_divide_the_channels(channels, groups):
    assert ConvBlock(1, channels, "mish").norm.num_groups == groups


def test_the_output_is_unconstrained():
    conv = OutputConv(4, 2, upsample=True)
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(conv(x), conv.conv(stencil2x(x)))
    assert OutputConv(4, 2, upsample=False)(x).shape == (2, 2, 3, 3)


def test_the_output_counts_as_a_block():
    blocks = decoder_blocks(8, 3, 4, (2, 4), "relu")
    assert [block.upsample for block in blocks] == [False, True, False, True]
    assert isinstance(blocks[-1], OutputConv)
