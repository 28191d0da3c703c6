import pytest
import torch

from aerepr.errors import ShapeError

from ..building import assert_all_learn, assert_exports, build, context


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 16, 16), (1, 28, 28), (4, 32, 48)])
@pytest.mark.parametrize("P", [1, 2])
def test_codes_become_any_image(shape, P):
    decoder = build("decoder", context(shape, P=P), name="ladder", variables=2, width=6, depth=6)
    assert decoder(torch.randn(2, 4)).shape == (2, P * shape[0], *shape[1:])


@pytest.mark.parametrize(("depth", "widths"), [(12, [8, 16, 4]), (16, [4, 8, 16, 4])])
def test_widths_of_the_rungs(depth, widths):
    decoder = build("decoder", context((3, 16, 16)), name="ladder", width=8, depth=depth, features=4)
    assert [bias.shape[-1] for bias in decoder.rungs.biases] == widths


@pytest.mark.parametrize(("width", "features"), [(8, 2), (64, 16), (128, 32), (2, 1)])
def test_features_scale_with_the_width(width, features):
    with torch.device("meta"):
        decoder = build("decoder", context(), name="ladder", width=width, depth=4)
    assert decoder.rungs.biases[-1].shape[-1] == features
    assert decoder.root.shape[0] == width - features


def test_features_join_the_channels_the_same_at_all_pixels():
    decoder = build("decoder", context((3, 8, 8)), name="ladder", variables=2, width=8, depth=4, features=3)
    entering, leaving = [], []
    for block in decoder.blocks:
        block.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
        block.register_forward_hook(lambda module, inputs, output: leaving.append(output))
    z = torch.randn(5, 4)
    decoder(z)
    assert decoder.positions == (1, 3)
    features_NBF = decoder.rungs(z.unflatten(1, (2, 2)).transpose(0, 1))
    for rung, number in enumerate(decoder.positions):
        content, own = entering[number - 1].split([5, 3], dim=1)
        expected = decoder.root.expand(5, -1, -1, -1) if number == 1 else leaving[number - 2]
        torch.testing.assert_close(content, expected)
        torch.testing.assert_close(own, features_NBF[rung][:, :, None, None].expand_as(own))


def test_each_variable_enters_at_its_own_rung():
    decoder = build("decoder", context((3, 8, 8), latent_dim=6), name="ladder", variables=3, width=8, depth=6)
    seen = []
    for block in decoder.blocks:
        block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    base, other = torch.randn(1, 6), torch.randn(1, 6)
    decoder(base)
    before = list(seen)
    for variable, rung in zip(decoder.layout, decoder.positions, strict=True):
        z = base.clone()
        z[:, variable.start : variable.stop] = other[:, variable.start : variable.stop]
        seen.clear()
        decoder(z)
        changed = [not torch.equal(a, b) for a, b in zip(before, seen, strict=True)]
        assert changed == [number >= rung for number in range(1, 7)]


def test_left_out_each_dimension_is_a_variable():
    decoder = build("decoder", context(latent_dim=3), name="ladder", width=4, depth=6)
    assert decoder.layout.sizes == [1, 1, 1]


def test_mixed_precision_keeps_that_of_the_content():
    decoder = build("decoder", context(), name="ladder", variables=2, width=8, depth=4)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder(torch.randn(3, 4))
    assert found.isfinite().all()


def test_channels_last_stays_and_changes_no_number():
    decoder = build("decoder", context((3, 16, 16)), name="ladder", variables=2, width=8, depth=4)
    z, seen = torch.randn(3, 4), []
    expected = decoder(z)
    decoder.to(memory_format=torch.channels_last)
    decoder.blocks[2].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    torch.testing.assert_close(decoder(z), expected, rtol=1e-4, atol=1e-5)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_every_parameter_learns(upsample):
    decoder = build("decoder", context(), name="ladder", variables=2, width=8, depth=4, upsample=upsample)
    assert_all_learn(decoder, decoder(torch.randn(3, 4)))


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_it_exports(upsample):
    decoder = build("decoder", context(), name="ladder", variables=2, width=8, depth=4, upsample=upsample)
    assert_exports(decoder, torch.randn(2, 4), torch.randn(5, 4))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"variables": 5, "depth": 12}, "12 latent dimensions do not split into 5 equal variables"),
        ({"variables": 3, "depth": 7}, "3 rungs do not spread evenly over 7 blocks: use one of 1, 7 rungs, or a depth"),
        ({"features": 8}, "a rung's 8 features leave nothing of 8 channels: use fewer features, or more width"),
    ],
)
def test_what_does_not_fit_is_refused(table, message):
    with pytest.raises(ShapeError, match=message):
        build("decoder", context(latent_dim=12), name="ladder", width=8, **table)


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match='vector 5: use name = "structural_mlp"'):
        build("decoder", context((5,)), name="ladder")
