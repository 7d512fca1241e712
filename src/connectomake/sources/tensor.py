"""TensorStore: key-value stores with a time limit, and reading a box in z, y, x from a store of any axis order."""

from pathlib import Path
from typing import Any

from connectomake.bounded_text import read_json as parse
from connectomake.errors import SourceError
from connectomake.sources.paths import is_url
from connectomake.sources.reasons import reason, way_out
from connectomake.sources.urls import split_archive
from connectomake.storage.kvstore import describe
from connectomake.storage.patience import TENSORSTORE

CORRECT = "correct its metadata, or rewrite it"
OPEN_SECONDS = 30.0
READ_SECONDS = 600.0


def kvstore(path: str, below: str = "") -> dict[str, Any]:
    """Return TensorStore's description of the folder `below` in `path`, a local folder or a URL; see `describe`."""
    if archive := split_archive(path):
        inner = "/".join(part.strip("/") for part in (archive[1], below) if part.strip("/"))
        return {"driver": "zip", "base": describe(archive[0]), "path": f"{inner}/" if inner else ""}
    folder = "/".join(part.strip("/") for part in (path, below) if part.strip("/"))
    return describe(f"{'/' if path.startswith('/') else ''}{folder}/")


def read_json(path: str, name: str) -> dict[str, Any] | None:
    """Read a JSON file below `path`; None if there is none.

    Raises
    ------
    SourceError
        If the place cannot be reached in time, or the file is not JSON.
    """
    data = _read_bytes(path, name)
    if data is None:
        return None
    try:
        found = parse(data)
    except ValueError as error:
        raise SourceError(f"{name} of {path} is not JSON ({error}); it may be truncated: copy it again") from error
    if not isinstance(found, dict):
        raise SourceError(f"{name} of {path} is not a JSON object")
    return found


def _read_bytes(path: str, name: str) -> bytes | None:
    if not is_url(path) and not split_archive(path):
        file = Path(path) / name
        return file.read_bytes() if file.is_file() else None
    try:
        answer = open_keys(path).read(name).result(timeout=OPEN_SECONDS)
    except (ValueError, OSError, TimeoutError) as error:
        raise unreachable(path, error) from error
    return bytes(answer.value) if answer.state == "value" else None


def unreachable(path: str, error: BaseException) -> SourceError:
    """Return the error for a place that does not answer."""
    cause = f"no answer within {OPEN_SECONDS:g} s" if isinstance(error, TimeoutError) else reason(error)
    return SourceError(f"{path} cannot be reached ({cause}); check the address, the network and your credentials")


def open_store(path: str, below: str, driver: str, fill: bool = False, **options: Any) -> Any:
    """Open an array for reading; `fill`: a storage chunk that is not there reads as the fill value, else it is an error.

    Raises
    ------
    SourceError
        If it cannot be opened, or does not answer in time.
    """
    import tensorstore as ts

    spec = {"driver": driver, "kvstore": kvstore(path, below), "fill_missing_data_reads": fill, **options}
    how: dict[str, Any] = {} if "assume_metadata" in options else {"open": True}
    try:
        return ts.open(spec, read=True, **how, context=ts.Context(TENSORSTORE)).result(timeout=OPEN_SECONDS)
    except TimeoutError as error:
        raise unreachable(path, error) from error
    except (ValueError, OSError) as error:
        where = f"{below} of {path}" if below else path
        raise SourceError(f"{where} cannot be opened as {driver} ({reason(error)}); {way_out(error, CORRECT)}") from error


def open_keys(path: str, below: str = "") -> Any:
    """Open the folder `below` in `path` as a store of keys and bytes."""
    import tensorstore as ts

    try:
        return ts.KvStore.open(kvstore(path, below), context=ts.Context(TENSORSTORE)).result(timeout=OPEN_SECONDS)
    except (ValueError, OSError, TimeoutError) as error:
        raise unreachable(path, error) from error
