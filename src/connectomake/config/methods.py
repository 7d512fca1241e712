"""The methods of segmentation: each is described here once, as far as the config and the plan must know it.

What labels a block by a method is in the module of its name in `connectomake.pipeline.methods`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from connectomake.errors import ConfigError

Section = Mapping[str, Any]


def _nothing(section: Section) -> None:
    """Check nothing beyond the schema."""


def _never(_: Section) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Method:
    """A method of segmentation.

    Parameters
    ----------
    name
        As it stands in ``segmentation.method``.
    keys
        Keys of ``segmentation`` that the labels within a block depend on.
    reads
        What a voxel holds - the probability that it is foreground, affinities to its lower neighbours in z, y and x, or the
        label of its object, which is read from the source, without a network.
    channels
        The key that names the channels that are read: a number, or a list of them.
    options
        Further such keys, which count only where they are not at their defaults.
    lowest, highest
        The keys of the bounds below which everything is background, and from which everything is one object; None if there are
        none.
    reached
        Whether a value equal to the bound counts as above it.
    graph
        Whether a block leaves a region graph of its labels, by which they may be joined further.
    keeps_ids
        Whether the ids of the objects are those of the source, with these values of ``segmentation``.
    check
        Raises a ConfigError if values of ``segmentation`` contradict each other.
    text
        Says the values in one line, for ``connectomake plan``; None lists `keys`.
    """

    name: str
    keys: tuple[str, ...]
    reads: Literal["probability", "affinities", "labels"] = "probability"
    channels: str = "channel"
    options: tuple[str, ...] = ()
    lowest: str | None = None
    highest: str | None = None
    reached: bool = False
    graph: bool = False
    keeps_ids: Callable[[Section], bool] = _never
    check: Callable[[Section], None] = _nothing
    text: Callable[[Section], str] | None = None

    @property
    def affinities(self) -> bool:
        """Whether affinities are read."""
        return self.reads == "affinities"

    @property
    def labels(self) -> bool:
        """Whether labels are read."""
        return self.reads == "labels"

    def channels_of(self, section: Section) -> list[int]:
        """Return the channels that are read."""
        named = section[self.channels]
        return list(named) if isinstance(named, list) else [int(named)]

    def compared_channels(self, section: Section, channels: int) -> list[int]:
        """Return the channels, of so many, whose values decide what is foreground."""
        if section["argmax"]:
            return list(range(channels))
        excluding = [] if section["exclude"] is None else [int(section["exclude"]["channel"])]
        return [*self.channels_of(section), *excluding]

    def values(self, section: Section) -> dict[str, Any]:
        """Return what the labels within a block depend on: the method, its keys, and its options that are set."""
        return {"method": self.name, **{key: section[key] for key in self.keys}, **self.chosen(section)}

    def chosen(self, section: Section) -> dict[str, Any]:
        """Return the options that are set."""
        return {key: section[key] for key in self.options if section[key]}

    def described(self, section: Section) -> str:
        """Return the values in one line."""
        text = self.text(section) if self.text else ", ".join(f"{key} {section[key]}" for key in self.keys)
        return ", ".join([text, *(OPTION_TEXTS[key](section) for key in self.chosen(section))])

    def connectivity(self, section: Section) -> int:
        """Return how many neighbours of a voxel may belong to its object: 6, 18 or 26."""
        return int(section["connectivity"]) if "connectivity" in self.keys else 6


def _argmax_text(section: Section) -> str:
    return f"where channel {section['channel']} is the largest"


def _exclude_text(section: Section) -> str:
    return f"but where channel {section['exclude']['channel']} is above {section['exclude']['threshold']}"


OPTION_TEXTS: dict[str, Callable[[Section], str]] = {"argmax": _argmax_text, "exclude": _exclude_text}
"""The options of methods, and what says their values."""


def check_method(section: Section) -> None:
    """Check that the values of ``segmentation`` go together.

    Raises
    ------
    ConfigError
        If two contradict each other, or an option does not apply to the method.
    """
    method = method_of(section)
    method.check(section)
    for key in OPTION_TEXTS:
        if section[key] and key not in method.options:
            able = " or ".join(other.name for other in METHODS.values() if key in other.options)
            raise ConfigError(f"segmentation.{key} does not apply to method {method.name}; leave it out, or take {able}")
    excluding = section["exclude"]
    if excluding and excluding["channel"] in method.channels_of(section):
        raise ConfigError(
            f"segmentation.exclude.channel {excluding['channel']} is also what is segmented (segmentation.{method.channels} "
            f"{section[method.channels]}); name another channel"
        )


def method_of(section: Section) -> Method:
    """Return the method that ``segmentation`` of a config names.

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    try:
        return METHODS[section["method"]]
    except KeyError:
        known = ", ".join(METHODS)
        raise ConfigError(f"segmentation.method {section['method']!r} does not exist; methods are {known}") from None


def _check_watershed(section: Section) -> None:
    t_low, t_high, connectivity = section["t_low"], section["t_high"], section["connectivity"]
    if t_low >= t_high:
        raise ConfigError(f"segmentation.t_low {t_low} is not below segmentation.t_high {t_high}; change one of them")
    if connectivity != 6:
        raise ConfigError(
            f"segmentation.connectivity {connectivity} does not apply to method watershed, which joins over faces; "
            "leave it out, or set it to 6"
        )


def _keeps_labels(section: Section) -> bool:
    return bool(section["relabel"] == "none")


def _check_labels(section: Section) -> None:
    table = section["table"]
    if table is not None and table["holds"] == "pairs" and table["missing"] == "background":
        raise ConfigError(
            "segmentation.table.missing background does not apply to pairs, where a label that none names is joined with none "
            "and stays; leave it out, or set segmentation.table.holds to segments"
        )
    if not _keeps_labels(section):
        return
    if section["connectivity"] != 6:
        raise ConfigError(
            f"segmentation.connectivity {section['connectivity']} does not apply with segmentation.relabel: none, which joins "
            "nothing; leave it out, or set relabel to components"
        )
    if section["min_size"]:
        raise ConfigError(
            f"segmentation.min_size {section['min_size']} would take labels away, but segmentation.relabel: none keeps all; "
            "set relabel to components, or leave min_size out and choose by meshes.select.min_voxels and skeletons.min_voxels"
        )


def _labels_text(section: Section) -> str:
    joined = "" if section["table"] is None else f", joined by {section['table']['path']}"
    if _keeps_labels(section):
        return f"of the source{joined}, ids kept"
    return f"of the source{joined}, connected components of each, connectivity {section['connectivity']}"


def _threshold_text(section: Section) -> str:
    return f"{section['threshold']}, connectivity {section['connectivity']}"


def _watershed_text(section: Section) -> str:
    boundary = f", boundary below {section['t_boundary']} left out" if section["t_boundary"] else ""
    return f"t_low {section['t_low']}, t_high {section['t_high']}, channels {section['affinity_channels']}{boundary}"


METHODS = {
    method.name: method
    for method in (
        Method(
            "threshold", ("channel", "threshold", "connectivity"), options=("argmax", "exclude"), lowest="threshold",
            highest="threshold", text=_threshold_text,
        ),
        Method(
            "watershed", ("affinity_channels", "t_low", "t_high"), "affinities", "affinity_channels", ("exclude",),
            lowest="t_low", highest="t_high", reached=True, graph=True, check=_check_watershed, text=_watershed_text,
        ),
        Method(
            "labels", ("channel", "relabel", "connectivity"), "labels", keeps_ids=_keeps_labels, check=_check_labels,
            text=_labels_text,
        ),
    )
}  # fmt: skip
"""All methods by name."""
