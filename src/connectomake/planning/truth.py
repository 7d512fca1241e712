"""The ground truth of a config: opened once on the head, checked against source and region."""

from typing import Any

from connectomake.errors import ConfigError, SourceError
from connectomake.keys import Section, naming
from connectomake.planning.plan import Plan
from connectomake.planning.source_info import SourceInfo
from connectomake.sources import Source, SourceOptions
from connectomake.sources.labels import Labels, open_labels
from connectomake.sources.places import alike, check_places

KEYS = Section("evaluation", {"path": "evaluation.ground_truth"})


def truth_info(section: dict[str, Any] | None, source: Source) -> SourceInfo | None:
    """Return what the plan keeps of the ground truth; its bounds are in the source's coordinates.

    Parameters
    ----------
    section
        ``evaluation`` of the config.
    source
        The image.

    Raises
    ------
    ConfigError, SourceError
        If it cannot be opened, holds no labels, or does not fit the source.
    """
    if section is None:
        return None
    labels = open_truth(section)
    _check_fit(labels, section, source)
    z, y, x = (float(v) for v in source.voxel_size)
    return SourceInfo(
        section["ground_truth"], section["dataset"], section["scale"], labels.source.kind, labels.bounds, 1, "uint64",
        (z, y, x), labels.source.identity, SourceOptions.of(section),
        labels.source.blank_sections, notes=labels.source.notes,
    )  # fmt: skip


def open_truth(section: dict[str, Any]) -> Labels:
    """Open the ground truth; errors name the keys of ``evaluation``."""
    with naming(KEYS):
        return open_labels(section["ground_truth"], section["dataset"], section["scale"], None, SourceOptions.of(section))


def _check_fit(labels: Labels, section: dict[str, Any], source: Source) -> None:
    called = f"evaluation.ground_truth {section['ground_truth']!r}"
    if labels.voxel_size is not None and not alike(labels.voxel_size, source.voxel_size):
        raise ConfigError(
            f"{called} has voxels of {list(labels.voxel_size)} nm, the source of "
            f"{list(source.voxel_size)}; name a scale or a volume of the same voxel size"
        )
    if labels.source.place == "given":  # in the source's coordinates, wherever these begin
        return
    try:
        check_places((called, labels.source), ("the source", source), ("evaluation.offset", "source.offset"))
    except SourceError as error:
        raise ConfigError(f"{error}; evaluation.offset is in the source's coordinates") from error


def check_truth(plan: Plan) -> None:
    """Raise a ConfigError unless there is something to evaluate, and the objects are what is compared."""
    if plan.truth is None or not plan.evaluation_box.empty:
        return
    section = plan.config["evaluation"]
    limits = f" and evaluation.start {section['start']}, stop {section['stop']}" if section["start"] or section["stop"] else ""
    raise ConfigError(
        f"the ground truth {plan.truth.path!r} ({plan.truth.bounds}), the region of interest ({plan.roi}){limits} have no "
        "voxel in common; change evaluation.offset, start or stop, or set evaluation: null"
    )
