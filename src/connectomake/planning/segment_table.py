"""The table that joins given labels, as the plan knows it: opened once on the head, so that the plan knows its content."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from connectomake.errors import SourceError
from connectomake.planning.modules import file_hash
from connectomake.segment_table import most_rows


@dataclass(frozen=True)
class TableInfo:
    """What the plan keeps of a table.

    Parameters
    ----------
    path
        The file, as the config names it.
    sha256
        Of its bytes.
    size
        Its bytes.
    rows
        About how many rows it has, at most: what a job's memory follows.
    """

    path: str
    sha256: str
    size: int
    rows: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    def check(self) -> None:
        """Raise a SourceError unless the file is still the one that the plan was made with."""
        if _hash(self.path) != self.sha256:
            raise SourceError(
                f"segmentation.table.path {self.path!r} has changed since the plan was made; start snakemake on the head again"
            )


def table_info(section: dict[str, Any]) -> TableInfo | None:
    """Return what the plan keeps of ``segmentation.table``; None if there is none.

    Raises
    ------
    SourceError
        If the file cannot be read or has an unknown suffix.
    """
    table = section["table"]
    if table is None:
        return None
    path = table["path"]
    rows = most_rows(path, table["dataset"])
    return TableInfo(path, _hash(path), Path(path).stat().st_size, rows)


def _hash(path: str) -> str:
    try:
        return file_hash(Path(path))
    except FileNotFoundError:
        raise SourceError(f"segmentation.table.path {path!r} does not exist; name the file of the table") from None
    except OSError as error:
        raise SourceError(
            f"segmentation.table.path {path!r} cannot be read ({error.strerror}); name a readable file"
        ) from error
