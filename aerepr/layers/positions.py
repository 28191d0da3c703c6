"""Where halvings, upsamplings, Str-Tfm layers and rungs sit among the blocks of a network. Blocks are numbered from 1.

The published networks have 12 blocks (64 pixels) or 16 (128 pixels):

    halvings in blocks         1 4 7 10 12         1 4 7 10 13 16
    upsamplings before blocks  2 4 7 10 12         1 4 7 10 13 16

Three rules carry these to other sizes and depths.

- Depth. Position p of the 12-block network (up to 12 blocks) or of the 16-block one (more than 12) moves to
  1 + round((p - 1) (depth - 1) / 11), or / 15, and positions that meet become one.
- Size. There are as many halvings as are exact along both axes and leave at least 2 pixels, and no more than there are
  positions: 28 -> 14 -> 7; 32 -> 16 -> 8 -> 4 -> 2. What is left, the root, may be at most 16x16.
- Fewer halvings than positions. An encoder keeps the first, a decoder the last: both work at low resolution in as many
  blocks as they can, which is where they are cheap.

Str-Tfm layers, and the rungs of a ladder decoder, sit before block 1 + (i - 1) depth / n, i = 1 ... n; the rungs of a
ladder encoder after block i depth / n, its mirror image.

Source: Leeb et al. 2023, "Structure by Architecture", and the authors' configurations; the rules are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aerepr.errors import ShapeError

HALVINGS = {12: (1, 4, 7, 10, 12), 16: (1, 4, 7, 10, 13, 16)}
UPSAMPLINGS = {12: (2, 4, 7, 10, 12), 16: (1, 4, 7, 10, 13, 16)}

# A root larger than this costs more than all the other layers together and leaves no bottleneck.
LARGEST_ROOT = 16


def default_depth(height: int, width: int) -> int:
    """12 blocks up to 64 pixels, 16 above."""
    return 12 if max(height, width) <= 64 else 16


@dataclass(frozen=True)
class Plan:
    """The blocks of a network for images of one size.

    Attributes:
        depth: number of blocks. resizings: numbers of those that halve the image, or double it.
        root: height and width of the smallest feature map.
    """

    depth: int
    resizings: tuple[int, ...]
    root: tuple[int, int]

    def taper(self, widest: int) -> list[int]:
        """Hidden widths of an MLP beside these blocks, each half of the one before: two up to 12 blocks, three above."""
        return [max(1, widest // 2**i) for i in range(2 if self.depth <= 12 else 3)]


def encoder_plan(height: int, width: int, depth: int | None, halvings: Sequence[int] | None = None) -> Plan:
    """The blocks of an encoder; depth or halvings left out follow the rules above.

    Raises:
        ShapeError: the size cannot be halved to a root of at most 16x16, or not as often as `halvings` asks.
    """
    depth = depth or default_depth(height, width)
    if halvings is None:
        halvings = encoder_halvings(height, width, depth)
    else:
        require_blocks("halvings", halvings, depth)
        if height % 2 ** len(halvings) or width % 2 ** len(halvings):
            raise ShapeError(
                f"images of {height}x{width} do not halve exactly {len(halvings)} times: name fewer halvings, "
                f"or crop or resize to sides that {2 ** len(halvings)} divides"
            )
    return Plan(depth, tuple(halvings), (height >> len(halvings), width >> len(halvings)))


def decoder_plan(height: int, width: int, depth: int | None) -> Plan:
    """The blocks of a decoder; a depth left out follows the rules above.

    Raises:
        ShapeError: the size cannot be reached by doubling a root of at most 16x16.
    """
    depth = depth or default_depth(height, width)
    upsamplings = decoder_upsamplings(height, width, depth)
    return Plan(depth, upsamplings, (height >> len(upsamplings), width >> len(upsamplings)))


def encoder_halvings(height: int, width: int, depth: int) -> tuple[int, ...]:
    """Numbers of the blocks that pool.

    Raises:
        ShapeError: the size cannot be halved to a root of at most 16x16.
    """
    positions = _scaled(HALVINGS, depth)
    return positions[: _count(height, width, depth, len(positions))]


def decoder_upsamplings(height: int, width: int, depth: int) -> tuple[int, ...]:
    """Numbers of the blocks that upsample first.

    Raises:
        ShapeError: the size cannot be reached by doubling a root of at most 16x16.
    """
    positions = _scaled(UPSAMPLINGS, depth)
    return positions[len(positions) - _count(height, width, depth, len(positions)) :]


def str_tfm_positions(depth: int, count: int, what: str = "Str-Tfm layers") -> tuple[int, ...]:
    """Numbers of the blocks that a Str-Tfm layer, or whatever takes its place, precedes.

    Raises:
        ShapeError: they do not spread evenly; lists the counts that do.
    """
    if depth % count:
        options = ", ".join(str(n) for n in range(1, depth + 1) if depth % n == 0)
        multiple = count * (depth // count + 1)
        raise ShapeError(
            f"{count} {what} do not spread evenly over {depth} blocks: use one of {options} {what.split()[-1]}, "
            f"or a depth that is a multiple of {count}, such as {multiple}"
        )
    return tuple(1 + i * (depth // count) for i in range(count))


def rung_taps(depth: int, count: int) -> tuple[int, ...]:
    """Numbers of the blocks whose output a rung of a ladder encoder taps.

    Raises:
        ShapeError: as of `str_tfm_positions`.
    """
    return tuple(before - 1 + depth // count for before in str_tfm_positions(depth, count, "rungs"))


def require_blocks(what: str, numbers: Sequence[int], depth: int) -> None:
    """Refuse block numbers that are not rising, or no blocks.

    Raises:
        ShapeError: names them.
    """
    if list(numbers) != sorted(set(numbers)) or not all(1 <= number <= depth for number in numbers):
        raise ShapeError(f"{what} must be rising numbers of blocks from 1 to {depth}, got {list(numbers)}")


def _scaled(published: dict[int, tuple[int, ...]], depth: int) -> tuple[int, ...]:
    base = 12 if depth <= 12 else 16
    return tuple(sorted({1 + round((p - 1) * (depth - 1) / (base - 1)) for p in published[base]}))


def _count(height: int, width: int, depth: int, most: int) -> int:
    if min(height, width) < 2:
        raise ShapeError(f"images of {height}x{width} are too small for convolutions: use sides of at least 2")
    count = 0
    while count < most and all(side % 2 ** (count + 1) == 0 and side >= 4 * 2**count for side in (height, width)):
        count += 1
    if max(height, width) > LARGEST_ROOT * 2**count:
        raise ShapeError(_advice(height, width, depth, most, count))
    return count


def _advice(height: int, width: int, depth: int, most: int, count: int) -> str:
    root = f"{height // 2**count}x{width // 2**count}"
    found = f"images of {height}x{width} halve exactly {count} times in {depth} blocks, to {root}"
    limit = f"a root may be at most {LARGEST_ROOT}x{LARGEST_ROOT}"
    needed = 0
    while max(height, width) >= (LARGEST_ROOT + 1) * 2**needed:
        needed += 1
    if needed > most:
        return f"{found}, but {limit}: use images of at most {LARGEST_ROOT * 2**most} pixels a side, or more blocks"
    if min(height, width) < 2 * 2**needed:
        return f"{found}, but {limit}: use sides closer to each other"
    sides = "x".join(str(side - side % 2**needed) for side in (height, width))
    return f"{found}, but {limit}: crop or resize to sides that {2**needed} divides, such as {sides}"
