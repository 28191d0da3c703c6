import pytest
import torch

from aerepr.errors import ShapeError

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 16, 16), (1, 28, 28), (4, 32, 48), (3, 48, 48)])
def test_any_image_becomes_parameters(shape):
    encoder = build("encoder", context(shape, latent_dim=3, K=2), name="conv", width=6, depth=5)
    assert encoder(torch.rand(2, *shape)).shape == (2, 3, 2)


def test_published_pools_can_be_read_off():
    with torch.device("meta"):
        encoder = build("encoder", context((3, 64, 64)), name="conv")
        large = build("encoder", context((3, 128, 128)), name="conv")
    assert [number for number, block in enumerate(encoder.blocks, 1) if block.downsample] == [1, 4, 7, 10, 12]
    assert [number for number, block in enumerate(large.blocks, 1) if block.downsample] == [1, 4, 7, 10, 13, 16]
    assert [block.conv.kernel_size[0] for block in encoder.blocks] == [5] + [3] * 11
    assert not any(block.upsample for block in encoder.blocks)


@pytest.mark.parametrize(
    ("table", "widths"),
    [
        ({"width": 8, "depth": 12}, [32, 32, 16]),
        ({"width": 8, "depth": 16}, [32, 32, 16, 8]),
        ({"width": 8, "depth": 12, "hidden": [5]}, [32, 5]),
        ({"width": 8, "depth": 12, "hidden": []}, [32]),
    ],
)
def test_projection_widths(table, widths):
    encoder = build("encoder", context((3, 16, 16)), name="conv", **table)
    assert [layer.in_features for layer in encoder.projection if hasattr(layer, "in_features")] == widths


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (4, 32, 48)])
def test_strides_halve_as_pools_do(shape):
    pooled, strided = (
        build("encoder", context(shape), name="conv", width=4, depth=6, downsample=how) for how in ("pool", "stride")
    )
    sizes = [[], []]
    for encoder, seen in zip((pooled, strided), sizes, strict=True):
        for block in encoder.blocks:
            block.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output.shape))
        encoder(torch.rand(2, *shape))
    assert sizes[0] == sizes[1]
    assert [block.conv.stride[0] for block in strided.blocks] == [
        2 if block.downsample else 1 for block in pooled.blocks
    ]


def test_numbers_of_a_dimension_are_neighbours():
    encoder = build("encoder", context(latent_dim=3, K=2), name="conv", width=4, depth=2)
    x = torch.rand(2, 3, 8, 8)
    flat = encoder.projection(encoder.blocks(x).flatten(1))
    torch.testing.assert_close(encoder(x)[:, 1], flat[:, 2:4])


@pytest.mark.parametrize("downsample", ["pool", "stride"])
def test_every_parameter_learns(downsample):
    encoder = build("encoder", context(), name="conv", width=8, depth=4, downsample=downsample)
    assert_all_learn(encoder, encoder(torch.rand(3, 3, 8, 8)))


@pytest.mark.parametrize("downsample", ["pool", "stride"])
def test_it_exports(downsample):
    encoder = build("encoder", context(), name="conv", width=8, depth=3, downsample=downsample)
    assert_exports(encoder, torch.rand(2, 3, 8, 8), torch.rand(5, 3, 8, 8))


def test_channels_last_changes_no_number():
    encoder = build("encoder", context(), name="conv", width=8, depth=4)
    x = torch.rand(3, 3, 8, 8)
    last = encoder(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, encoder(x), rtol=1e-4, atol=1e-5)


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match='vector 5: use name = "mlp"'):
        build("encoder", context((5,)), name="conv")


def test_even_kernels_are_refused():
    with pytest.raises(ShapeError, match="first_kernel must be odd, got 4: use 5"):
        build("encoder", context(), name="conv", first_kernel=4)
