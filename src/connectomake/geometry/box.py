"""Half-open boxes of voxels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Vec: TypeAlias = tuple[int, int, int]


def as_vec(value: int | Sequence[int]) -> Vec:
    """Turn a number or three numbers (z, y, x) into a tuple of three Python integers."""
    if isinstance(value, int):
        return (value, value, value)
    z, y, x = (int(v) for v in value)
    return (z, y, x)


def volume_of(shape: Vec) -> int:
    """Return the number of voxels of a shape."""
    return shape[0] * shape[1] * shape[2]


@dataclass(frozen=True, slots=True)
class Box:
    """The voxels with ``start <= position < stop``, in z, y, x; coordinates may be negative.

    Examples
    --------
    >>> a, b = Box((0, 0, 0), (4, 4, 4)), Box((2, -1, 0), (6, 3, 4))
    >>> a.intersect(b)
    Box(start=(2, 0, 0), stop=(4, 3, 4))
    >>> a.intersect(b).slices(origin=b.start)
    (slice(0, 2, None), slice(1, 4, None), slice(0, 4, None))
    """

    start: Vec
    stop: Vec

    @classmethod
    def of_shape(cls, shape: Vec, start: Vec = (0, 0, 0)) -> "Box":
        """Return the box of `shape` that begins at `start`."""
        return cls(start, _add(start, shape))

    @property
    def shape(self) -> Vec:
        """Extent per axis, never negative."""
        z, y, x = (max(b - a, 0) for a, b in zip(self.start, self.stop, strict=True))
        return (z, y, x)

    @property
    def volume(self) -> int:
        """Number of voxels."""
        return volume_of(self.shape)

    @property
    def empty(self) -> bool:
        """Whether there is no voxel in the box."""
        return self.volume == 0

    def intersect(self, other: "Box") -> "Box":
        """Return the voxels in both boxes; empty where they do not meet."""
        start = _map(max, self.start, other.start)
        return Box(start, _map(max, start, _map(min, self.stop, other.stop)))

    def union(self, other: "Box") -> "Box":
        """Return the smallest box that contains both; an empty box adds nothing."""
        if self.empty or other.empty:
            return other if self.empty else self
        return Box(_map(min, self.start, other.start), _map(max, self.stop, other.stop))

    def translate(self, offset: Vec) -> "Box":
        """Return the box moved by `offset`."""
        return Box(_add(self.start, offset), _add(self.stop, offset))

    def grow(self, low: int | Vec, high: int | Vec | None = None) -> "Box":
        """Return the box with `low` voxels more at its low sides and `high` (default: `low`) more at its high sides."""
        before = as_vec(low)
        after = before if high is None else as_vec(high)
        return Box(_add(self.start, _map(int.__neg__, before)), _add(self.stop, after))

    def contains(self, other: "Box") -> bool:
        """Whether every voxel of `other` is in this box."""
        return other.empty or self.intersect(other) == other

    def contains_voxel(self, position: Vec) -> bool:
        """Whether the voxel at `position` is in this box."""
        return all(a <= p < b for a, p, b in zip(self.start, position, self.stop, strict=True))

    def slices(self, origin: Vec = (0, 0, 0)) -> tuple[slice, slice, slice]:
        """Return the slices that cut this box out of an array whose first voxel lies at `origin`."""
        z, y, x = (slice(a - o, b - o) for a, b, o in zip(self.start, self.stop, origin, strict=True))
        return (z, y, x)

    def __str__(self) -> str:
        """Write the box as ranges, ``z 0:4, y 0:4, x 0:4``."""
        return ", ".join(f"{n} {a}:{b}" for n, a, b in zip("zyx", self.start, self.stop, strict=True))


def _add(a: Vec, b: Vec) -> Vec:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def _map(function, *vecs: Vec) -> Vec:  # type: ignore[no-untyped-def]
    return (
        function(*(v[0] for v in vecs)),
        function(*(v[1] for v in vecs)),
        function(*(v[2] for v in vecs)),
    )
