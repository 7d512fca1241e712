"""How a source is read where its format leaves a choice: keys of the config's sections `source`, `evaluation`, volumes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from connectomake.filters import Filter, filters_of, plain_of


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Options of a source, besides its path.

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
    filters
        What is made of the image, in order, after `range` and `activation`.
    """

    missing: str = "error"
    missing_sections: str = "error"
    range: tuple[float, float] | None = None
    activation: str = "none"
    refers_to: tuple[str, ...] = ()
    axes: str | None = None
    offset: tuple[int, int, int] | None = None
    filters: tuple[Filter, ...] = ()

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
        named["filters"] = filters_of(named.get("filters") or ())
        return cls(**named)

    def chosen(self) -> dict[str, Any]:
        """Return the options that are not at their default, as plain values: what a stage's result depends on."""
        default = asdict(DEFAULTS)
        named = {name: value for name, value in asdict(replace(self, filters=())).items() if name not in _NO_RESULT}
        chosen = {name: value for name, value in named.items() if value != default[name]}
        filters = [{step.key: step.meaning()} for step in self.filters]
        return chosen | ({"filters": filters} if filters else {})

    def plain(self) -> dict[str, Any]:
        """Return all options as plain JSON values, from which `of` makes the same; no key `filters` if there are none."""
        named = asdict(replace(self, filters=())) | {"refers_to": list(self.refers_to), "filters": plain_of(self.filters)}
        return {name: value for name, value in named.items() if name != "filters" or value}


_NO_RESULT = ("refers_to", "offset")
"""Keys that results do not depend on: `refers_to` only permits reading, and the bounds already include `offset`."""
DEFAULTS = SourceOptions()
