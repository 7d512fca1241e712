"""Compressed Morton codes: bits of z, y, x interleaved, an axis dropping out once its bits are used up.

Source: the *sharded precomputed* format of Neuroglancer, "compressed Morton code". The lowest bit is that of x, then y,
then z, for each bit position that the extent of the axis needs.
"""

from connectomake.geometry.box import Vec


def axis_bits(extent: int) -> int:
    """Return the number of bits that write every coordinate below `extent`."""
    return max(extent - 1, 0).bit_length()


def bit_order(bits: Vec) -> list[tuple[int, int]]:
    """List (axis, bit) of each bit of the code, lowest first; axis 0 is z."""
    return [(axis, level) for level in range(max(bits)) for axis in (2, 1, 0) if level < bits[axis]]


def encode(position: Vec, bits: Vec) -> int:
    """Return the compressed Morton code of a grid position.

    Examples
    --------
    >>> encode((1, 0, 1), bits=(1, 1, 2))   # bits, lowest first: x0 y0 z0 x1
    5
    """
    return sum(((position[axis] >> level) & 1) << i for i, (axis, level) in enumerate(bit_order(bits)))


def decode(code: int, bits: Vec) -> Vec:
    """Return the grid position of a compressed Morton code; the inverse of `encode`."""
    position = [0, 0, 0]
    for i, (axis, level) in enumerate(bit_order(bits)):
        position[axis] |= ((code >> i) & 1) << level
    return (position[0], position[1], position[2])
