import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerepr.errors import ShapeError
from aerepr.layers.positions import (
    Plan,
    decoder_plan,
    decoder_upsamplings,
    default_depth,
    encoder_halvings,
    encoder_plan,
    rung_taps,
    str_tfm_positions,
)


def test_published_networks():
    assert default_depth(64, 64) == 12
    assert default_depth(128, 128) == 16
    assert encoder_halvings(64, 64, 12) == (1, 4, 7, 10, 12)
    assert decoder_upsamplings(64, 64, 12) == (2, 4, 7, 10, 12)
    assert encoder_halvings(128, 128, 16) == (1, 4, 7, 10, 13, 16)
    assert decoder_upsamplings(128, 128, 16) == (1, 4, 7, 10, 13, 16)


def test_working_resolutions_of_the_published_decoder():
    upsamplings = decoder_upsamplings(64, 64, 12)
    sizes = [2 * 2 ** sum(p <= number for p in upsamplings) for number in range(1, 13)]
    assert sizes == [2, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 64]


@pytest.mark.parametrize(
    ("count", "positions"),
    [(2, (1, 7)), (3, (1, 5, 9)), (4, (1, 4, 7, 10)), (6, (1, 3, 5, 7, 9, 11)), (12, tuple(range(1, 13)))],
)
def test_published_str_tfm_positions(count, positions):
    assert str_tfm_positions(12, count) == positions


@pytest.mark.parametrize(
    ("count", "taps"), [(2, (6, 12)), (3, (4, 8, 12)), (6, (2, 4, 6, 8, 10, 12)), (12, tuple(range(1, 13)))]
)
def test_published_rungs(count, taps):
    assert rung_taps(12, count) == taps
    assert rung_taps(16, 16) == str_tfm_positions(16, 16) == tuple(range(1, 17))


@given(step=st.integers(1, 6), count=st.integers(1, 16))
def test_a_ladder_encoder_mirrors_its_decoder(step, count):
    depth = step * count
    mirrored = tuple(depth + 1 - before for before in reversed(str_tfm_positions(depth, count)))
    assert rung_taps(depth, count) == mirrored


def test_plans():
    assert encoder_plan(64, 64, None) == Plan(12, (1, 4, 7, 10, 12), (2, 2))
    assert decoder_plan(64, 64, None) == Plan(12, (2, 4, 7, 10, 12), (2, 2))
    assert decoder_plan(128, 96, 16) == Plan(16, (4, 7, 10, 13, 16), (4, 3))
    assert encoder_plan(64, 64, 13, [1, 4, 8, 11, 13]) == Plan(13, (1, 4, 8, 11, 13), (2, 2))
    assert encoder_plan(12, 20, 3, []) == Plan(3, (), (12, 20))


@pytest.mark.parametrize(("depth", "widths"), [(12, [256, 128]), (13, [256, 128, 64]), (16, [256, 128, 64])])
def test_hidden_widths_halve(depth, widths):
    assert Plan(depth, (), (2, 2)).taper(256) == widths
    assert min(Plan(depth, (), (2, 2)).taper(1)) == 1


@pytest.mark.parametrize(
    ("halvings", "message"),
    [
        ([1, 4, 4], r"halvings must be rising numbers of blocks from 1 to 12, got \[1, 4, 4\]"),
        ([4, 1], "rising"),
        ([1, 13], "from 1 to 12"),
        ([1, 2, 3, 4], "images of 24x40 do not halve exactly 4 times: .* to sides that 16 divides"),
    ],
)
def test_halvings_that_do_not_fit_are_refused(halvings, message):
    with pytest.raises(ShapeError, match=message):
        encoder_plan(24, 40, 12, halvings)


@pytest.mark.parametrize(
    ("height", "width", "halvings"),
    [
        (16, 16, 3),
        (28, 28, 2),
        (32, 32, 4),
        (48, 48, 4),
        (32, 48, 4),
        (96, 96, 5),
        (7, 7, 0),
        (12, 16, 2),
        (256, 256, 6),
    ],
)
def test_halvings_are_exact_and_leave_two_pixels(height, width, halvings):
    depth = default_depth(height, width)
    assert len(encoder_halvings(height, width, depth)) == halvings
    assert len(decoder_upsamplings(height, width, depth)) == halvings


def test_encoders_keep_the_first_halvings_and_decoders_the_last():
    assert encoder_halvings(28, 28, 12) == (1, 4)
    assert decoder_upsamplings(28, 28, 12) == (10, 12)


@given(depth=st.integers(1, 40), size=st.sampled_from([8, 16, 28]))
def test_positions_fit_any_depth(depth, size):
    for positions in (encoder_halvings(size, size, depth), decoder_upsamplings(size, size, depth)):
        assert list(positions) == sorted(set(positions))
        assert all(1 <= position <= depth for position in positions)
    assert encoder_halvings(size, size, depth)[0] == 1
    assert decoder_upsamplings(size, size, depth)[-1] == depth


@pytest.mark.parametrize(
    ("size", "depth", "advice"),
    [
        ((218, 178), 16, "crop or resize to sides that 16 divides, such as 208x176"),
        ((17, 17), 12, "crop or resize to sides that 2 divides, such as 16x16"),
        ((64, 64), 1, "at most 32 pixels a side, or more blocks"),
        ((8, 256), 16, "closer to each other"),
        ((1, 1), 12, "at least 2"),
    ],
)
def test_sizes_that_leave_no_bottleneck_are_refused(size, depth, advice):
    for positions in (encoder_halvings, decoder_upsamplings):
        with pytest.raises(ShapeError, match=advice):
            positions(*size, depth)


def test_following_the_advice_works():
    assert encoder_halvings(208, 176, 16)


def test_layers_that_do_not_spread_are_refused():
    with pytest.raises(ShapeError, match=r"1, 2, 3, 4, 6, 12 layers, or a depth that is a multiple of 5, such as 15"):
        str_tfm_positions(12, 5)
    with pytest.raises(ShapeError, match=r"5 rungs do not spread evenly over 12 blocks: use one of 1, .* 12 rungs, or"):
        rung_taps(12, 5)
