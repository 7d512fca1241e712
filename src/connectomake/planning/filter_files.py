"""Files that filters of the image read, such as a function of the user's: their hashes are part of the plan."""

from dataclasses import replace
from pathlib import Path

from connectomake.errors import ConfigError, SourceError
from connectomake.filters import Filter
from connectomake.planning.modules import file_hash, neighbours
from connectomake.sources.options import SourceOptions


def sealed(options: SourceOptions) -> SourceOptions:
    """Return how a source is read, with the hashes of the filters' files noted.

    Raises
    ------
    ConfigError
        If one cannot be read.
    """
    if not options.filters:
        return options
    return replace(options, filters=tuple(step.sealed(_hashes) for step in options.filters))


def check_files(step: Filter) -> None:
    """Raise a SourceError unless the files of a filter are those that the plan was made with."""
    try:
        changed = step.sealed(_hashes) != step
    except ConfigError as error:
        raise SourceError(str(error)) from error
    if changed:
        raise SourceError(
            f"{next(iter(step.files()))} of source.filters, or what it uses of those beside it, has changed since the plan was "
            "made; start snakemake on the head again"
        )


def _hashes(path: str) -> tuple[str, dict[str, str]]:
    try:
        return file_hash(Path(path)), neighbours(path)
    except OSError as error:
        raise ConfigError(
            f"source.filters: the file {path!r} cannot be read ({error.strerror}); name an existing file"
        ) from error
