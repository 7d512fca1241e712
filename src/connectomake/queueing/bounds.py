"""Checks of a task: values of the right type, and no file outside the run's folder.

A message may come from anyone who can write to the queue. Its paths are joined to the run's folder, and files of the plan
(network, weights, source, ground truth) are linked into a job's, so none may climb out with ``..``. Where the plan names a file
by its full path, the worker must have been told that it may be read: see `outside`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from connectomake.errors import QueueError
from connectomake.sources.paths import is_url, split_kind

if TYPE_CHECKING:
    from connectomake.queueing.task import Task

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SCRIPT = re.compile(r"[A-Za-z0-9_]+\.py")
_STORAGE = re.compile(r"(s3|gs)://[^/].*|file:///.+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[^\s]*)?")
_LONGEST_NAME = 255
_TEXTS = ("rule", "script", "version")
_TEXTS_OR_NONE = ("benchmark", "stage", "fingerprint", "storage", "endpoint")


def check_types(task: "Task") -> None:
    """Raise a QueueError unless all values are of the kinds that a task has."""
    for name in (*_TEXTS, *_TEXTS_OR_NONE):
        value = getattr(task, name)
        if not (_is_text(value) or (value is None and name in _TEXTS_OR_NONE)):
            _damaged(name, value)
    if not _NAME.fullmatch(task.rule):
        _damaged("rule", task.rule)
    if not (isinstance(task.threads, int) and 1 <= task.threads <= 1 << 16):
        _damaged("threads", task.threads)
    if not isinstance(task.plan, dict):
        _damaged("plan", task.plan)
    if not _are_texts(task.log):
        _damaged("log", task.log)
    if not (isinstance(task.wildcards, dict) and _are_texts(list(task.wildcards.values())) and _are_names(task.wildcards)):
        _damaged("wildcards", task.wildcards)
    for name in ("input", "output"):
        if not _is_named(getattr(task, name)):
            _damaged(name, getattr(task, name))
    if task.storage is not None and not _STORAGE.fullmatch(task.storage):
        raise QueueError(f"a task names the storage {task.storage!r}, which is not a storage; fill the queue again")
    if task.endpoint is not None and not _ENDPOINT.fullmatch(task.endpoint):
        raise QueueError(f"a task names the endpoint {_short(task.endpoint)}, which is not an address; fill the queue again")


def _damaged(name: str, value: Any) -> None:
    raise QueueError(f"a message of the queue is damaged: its {name} is {_short(value)}; fill the queue again")


def _short(value: Any) -> str:
    text = ascii(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not _CONTROL.search(value)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(_is_text(value) for value in values)


def _are_names(values: Iterable[Any]) -> bool:
    return all(isinstance(name, str) and _NAME.fullmatch(name) for name in values)


def _is_named(value: Any) -> bool:
    """Tell whether a value is what `Named` is made of."""
    if not (isinstance(value, dict) and set(value) == {"items", "names"} and _are_texts(value["items"])):
        return False
    names, count = value["names"], len(value["items"])
    return isinstance(names, dict) and _are_names(names) and all(_is_place(place, count) for place in names.values())


def _is_place(place: Any, count: int) -> bool:
    if not (isinstance(place, (list, tuple)) and len(place) == 2):
        return False
    start, stop = place
    whole = all(value is None or (isinstance(value, int) and 0 <= value <= count) for value in place)
    return whole and (stop is not None or (start or 0) < count)


def check_paths(task: "Task") -> None:
    """Raise a QueueError if a task names a script or a file outside the run's folder.

    Full paths of the plan's sources and networks are another matter; see `outside`.
    """
    if not _SCRIPT.fullmatch(task.script):
        raise QueueError(f"a task names the script {task.script!r}, which is not a script of the workflow")
    for path in (*task.inputs, *task.outputs, *task.log, *([task.benchmark] if task.benchmark else [])):
        pure = PurePosixPath(path)
        if any(len(part.encode()) > _LONGEST_NAME for part in pure.parts) or len(path) > 1 << 12:
            raise QueueError(f"a task names the file {_short(path)}, a name too long for a file")
        if pure.is_absolute() or ".." in pure.parts or "://" in path or not pure.parts:
            raise QueueError(f"a task names the file {path!r}; files are relative to the run's folder")
    for key, path in plan_paths(task.plan):
        if key == "outdir" and PurePosixPath(path).is_absolute():
            raise QueueError(f"the plan of a task names {key} {path!r}; files are relative to the run's folder")
        if ".." in re.split(r"[/|:]", unquote(path)):
            raise QueueError(
                f"the plan of a task names {key} {path!r}, which climbs out of the run's folder, where workers may not follow; "
                "write its full path, or put a link into the folder"
            )


def plan_paths(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the local paths that a plan names, with their keys, as they stand there; not those of buckets and web servers.

    Raises
    ------
    QueueError
        If a path is no text.
    """
    config, source, truth = _section(plan, "config"), _section(plan, "source"), _section(plan, "truth")
    inference, evaluation = _section(config, "inference"), _section(config, "evaluation")
    mask, masked = _section(config, "mask"), _section(_section(plan, "mask"), "volume")
    named = (
        ("outdir", config.get("outdir")), ("inference.model", inference.get("model")),
        ("inference.weights", inference.get("weights")), ("source.path", source.get("path")),
        ("source.path", _section(config, "source").get("path")), ("evaluation.ground_truth", truth.get("path")),
        ("evaluation.ground_truth", evaluation.get("ground_truth")), ("mask.path", mask.get("path")),
        ("mask.path", masked.get("path")),
    )  # fmt: skip
    facts = (_section(source, "options"), _section(truth, "options"), mask, _section(masked, "options"))
    further = _further(_section(config, "source"), evaluation, *facts)
    for key, path in (*named, *further):
        if path is None:
            continue
        if not _is_text(path) or not path:
            _damaged(key, path)
        if key in ("outdir", "inference.model", "inference.weights", "source.filters") or not is_url(path):
            yield key, path


def _further(*sections: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the folders to which an HDF5 file may refer, and the files of filters."""
    for section in sections:
        yield from _of_filters(section.get("filters"))
        found = section.get("refers_to")
        if found is not None and not isinstance(found, (list, tuple)):
            _damaged("source.refers_to", found)
        yield from (("source.refers_to", place) for place in found or ())


def _of_filters(found: Any) -> Iterator[tuple[str, Any]]:
    """Yield the files that filters name."""
    if not (found is None or (isinstance(found, list) and all(isinstance(step, dict) for step in found))):
        _damaged("source.filters", found)
    for step in found or ():
        named = [values for values in step.values() if isinstance(values, dict)]
        yield from (("source.filters", values["file"]) for values in named if "file" in values)


def _section(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _without_scheme(path: str) -> str:
    """Return a local path as it is opened: without a kind and without ``file://``."""
    rest = split_kind(path.partition("|")[0])[1]
    return unquote(urlparse(rest).path) if rest.startswith("file://") else rest


def outside(plan: dict[str, Any], allowed: Iterable[Path]) -> tuple[str, str] | None:
    """Return key and path of the first file of a plan that is here but lies in no allowed folder; None if there is none.

    Parameters
    ----------
    plan
        As in the task.
    allowed
        Folders and files that this worker may read.

    Notes
    -----
    Relative paths stay below the run's folder (`check_paths`).
    """
    places = [Path(place).expanduser().resolve() for place in allowed]
    for key, named in plan_paths(plan):
        path = _without_scheme(named)
        if not (path.startswith("~") or PurePosixPath(path).is_absolute()):
            continue
        full = Path(path).expanduser().resolve()
        there = full.exists() or any(above.is_file() for above in full.parents)  # or lies in an archive
        if there and not any(full.is_relative_to(place) for place in places):
            return key, path
    return None
