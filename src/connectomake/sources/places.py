"""Check of the positions of two volumes relative to each other: a ground truth and an image, or a segmentation."""

from collections.abc import Sequence

from connectomake.errors import SourceError
from connectomake.sources.source import Source

Named = tuple[str, Source]
KNOWN = ("named", "given")


def alike(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two voxel sizes are the same but for the rounding of float32."""
    return all(abs(p - q) <= 1e-5 * max(p, q) for p, q in zip(a, b, strict=True))


def check_places(first: Named, second: Named, keys: tuple[str, str]) -> None:
    """Raise a `SourceError` unless the bounds of two volumes may be compared as they are.

    They may if both places are known, or if the bounds are equal; and where metadata name the place of one only, if that
    lies within the other, which then begins at 0: in CREMI's, funlib's and OME-Zarr's files an offset that is not written
    is 0. Of two volumes of one shape, where only one says that it begins elsewhere, it is not known whether one lies on the
    other.

    Parameters
    ----------
    first, second
        How each is called, and the volume.
    keys
        What sets the place of each.

    Raises
    ------
    SourceError
        If the place of one is not known.
    """
    (a, one), (b, other) = first, second
    for (name, source), key in zip((first, second), keys, strict=True):
        if source.place == "unclear":
            raise SourceError(
                f"{name} names an offset that is not a whole number of voxels; say in voxels where it begins ({key})"
            )
    if one.bounds == other.bounds or (one.place in KNOWN and other.place in KNOWN):
        return
    held = f"{a} holds {one.bounds}, but {b} holds {other.bounds}"
    unknown = " and ".join(k for (_, s), k in zip((first, second), keys, strict=True) if s.place not in KNOWN)
    if one.place not in KNOWN and other.place not in KNOWN:
        raise SourceError(f"{held}; say where the first voxel lies ({unknown})")
    if one.bounds.shape == other.bounds.shape:
        raise SourceError(
            f"{held}: the same shape, and only one says where it lies; say whether the other lies there, too, or at 0 "
            f"({unknown})"
        )
    known, base = (one, other) if one.place in KNOWN else (other, one)
    if known.place != "named" or not base.bounds.contains(known.bounds):
        raise SourceError(f"{held}, and only one says where it lies; say where the first voxel of the other lies ({unknown})")
