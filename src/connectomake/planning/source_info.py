"""The facts about a source that a plan keeps."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from connectomake.filters import held, seconds_per_megavoxel
from connectomake.geometry import Box, Vec, as_vec
from connectomake.planning.filter_files import check_files
from connectomake.sources.options import DEFAULTS, SourceOptions

if TYPE_CHECKING:
    from connectomake.sources import Source


@dataclass(frozen=True)
class SourceInfo:
    """The facts about the source that the plan keeps, so that no job has to open it to know the grid.

    Parameters
    ----------
    path, dataset, scale
        As in the config.
    kind
        Name of the format, see `connectomake.sources.formats`.
    bounds
        Where the source has voxels.
    channels, dtype
        Of the source.
    voxel_size
        Nanometres, z, y, x.
    identity
        Name of the content, independent of where the source lies: what results depend on.
    options
        How it is read.
    blank_sections
        Missing sections of a stack that are read as zeros.
    sampled
        The cheap fingerprint that a job compares; "" if it is the identity.
    notes
        What looks odd about it, in sentences.
    """

    path: str
    dataset: str | None
    scale: int | str | None
    kind: str
    bounds: Box
    channels: int
    dtype: str
    voxel_size: tuple[float, float, float]
    identity: str
    options: SourceOptions = DEFAULTS
    blank_sections: int = 0
    sampled: str = ""
    notes: tuple[str, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether the source is read where it is; the others are ingested first."""
        return self.kind == "precomputed"

    def filter_bytes(self, shape: Vec) -> float:
        """Return the largest number of bytes that filtering a box of the source takes, besides the box as read."""
        return held(self.options.filters, shape, self.channels, self.voxel_size)

    def filter_seconds(self, shape: Vec) -> float:
        """Return the seconds of one core that filtering 10⁶ voxels takes, in boxes of a shape."""
        return seconds_per_megavoxel(self.options.filters, shape, self.channels, self.voxel_size)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        info = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("bounds", "options")}
        box = {"start": list(self.bounds.start), "stop": list(self.bounds.stop)}
        return {**info, "voxel_size": list(self.voxel_size), "notes": list(self.notes), "options": self.options.plain(), **box}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SourceInfo":
        """Make the facts from what `to_json` gave."""
        info = dict(value)
        bounds = Box(as_vec(info.pop("start")), as_vec(info.pop("stop")))
        z, y, x = info.pop("voxel_size")
        options = SourceOptions.of(info.pop("options", {}))
        notes = tuple(info.pop("notes", ()))
        return cls(bounds=bounds, voxel_size=(z, y, x), options=options, notes=notes, **info)

    def is_like(self, identity: str) -> bool:
        """Whether a source with this cheap fingerprint can be the one that the plan was made for."""
        return str(identity) == (self.sampled or self.identity)

    def open(self) -> "Source":
        """Open the source for reading.

        Raises
        ------
        ConfigError, SourceError
            See `open_source`; also if the file of a filter is not the one that the plan was made with.
        """
        from connectomake.sources import open_source

        for step in self.options.filters:
            check_files(step)
        return open_source(self.path, self.dataset, self.voxel_size, self.scale, self.options)
