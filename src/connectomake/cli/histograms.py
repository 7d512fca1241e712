"""``connectomake histograms``: count the values of every section, so that the filter `normalize` makes them alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError
from connectomake.reporting.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from connectomake.sources import Source

SHOWN = 40


def histograms(
    file: Annotated[str, typer.Argument(metavar="FILE.h5", help="HDF5 file to write.")],
    config: ConfigPath = DEFAULT_CONFIG,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Count the values of every section of a config's source, and name the sections that look bad.

    All voxels of the source are counted, before its filters. The filter `normalize` reads the file.
    """
    import numpy as np

    from connectomake.filters.histograms import Histograms, count_sections, odd_sections, write_histograms

    if Path(file).exists() and not overwrite:
        raise ConfigError(f"{file} exists; name another file, or replace it with --overwrite")
    source = _source(config)
    coarse: list[NDArray[np.int64]] = []

    def counts() -> "Iterator[NDArray[np.int64]]":
        for section in count_sections(source.read, source.bounds, source.channels, source.dtype):
            coarse.append(section[0].reshape(256, -1).sum(axis=1))
            yield section

    found = Histograms(Path(file), source.bounds, source.channels, source.dtype, str(source.identity))
    write_histograms(found, counts())
    print(f"✓ {file}: {counted(source.bounds.shape[0], 'section')} of {source.bounds}, {source.dtype}")
    odd = odd_sections(np.stack(coarse), source.bounds.start[0])
    if odd:
        more = f" and {len(odd) - SHOWN:,} more" if len(odd) > SHOWN else ""
        print(f"{counted(len(odd), 'section')} blank, or far brighter or darker than those around: {_listed(odd)}{more}")
        print(f"if they are bad, after normalize: - bad_sections: {{sections: [{_listed(odd)}], repair: interpolate}}")
    print(f"source.filters, first: - normalize: {{file: {file}}}")


def _source(config: str) -> "Source":
    """Return the source of a config as it is before its filters."""
    from connectomake.config import normalise
    from connectomake.planning.resolve import open_section

    return open_section({**normalise(common.load(config))["source"], "filters": []})


def _listed(sections: list[int]) -> str:
    return ", ".join(map(str, sections[:SHOWN]))
