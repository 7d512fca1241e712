"""How a source is read where its format leaves a choice: keys of the config's sections `source`, `evaluation`, volumes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a user may say of a source beside its place.

    Parameters
    ----------
    missing
        What a storage chunk is that the source lacks: an ``error``, or to ``fill`` with the format's fill value.
    missing_sections
        What a section of a stack is whose file is missing: an ``error``, or ``blank`` (zeros).
    range
        Values that become 0 and 1; those between follow linearly. None: values stay as they are.
    activation
        ``sigmoid`` turns logits into probabilities; ``none`` leaves them.
    refers_to
        Folders outside that of an HDF5 file to whose files it may refer.
    axes
        One letter per stored axis, such as ``xyzc``; wins over what the file says. None: as the file or its format says.
    offset
        Where the array's voxel 0, 0, 0 lies, in voxels, z, y, x; wins over what the file says. Of precomputed, which has
        coordinates of its own: what is added to these.
    """

    missing: str = "error"
    missing_sections: str = "error"
    range: tuple[float, float] | None = None
    activation: str = "none"
    refers_to: tuple[str, ...] = ()
    axes: str | None = None
    offset: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> "SourceOptions":
        """Return the options that a section of a config names; keys that it lacks keep their defaults."""
        named = {f.name: section[f.name] for f in fields(cls) if f.name in section}
        if named.get("range") is not None:
            low, high = named["range"]
            named["range"] = (float(low), float(high))
        named["refers_to"] = tuple(named.get("refers_to") or ())
        if named.get("offset") is not None:
            z, y, x = (int(v) for v in named["offset"])
            named["offset"] = (z, y, x)
        return cls(**named)

    def chosen(self) -> dict[str, Any]:
        """Return the options that are not at their default, as plain values: what a stage's result depends on."""
        default = asdict(DEFAULTS)
        named = {name: value for name, value in asdict(self).items() if name not in _NO_RESULT}
        return {name: value for name, value in named.items() if value != default[name]}


_NO_RESULT = ("refers_to", "offset")
"""The first only permits, the other is told by the bounds."""
DEFAULTS = SourceOptions()
