"""Files that are whole or absent: written to a temporary name in the same folder, flushed, renamed."""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectomake.errors import ConnectomakeError
from connectomake.forking import processes
from connectomake.os_errors import storage_error

_TEMPORARY = re.compile(r"\.(.+)\.\d+\.[0-9a-f]{8,}\.part")


def canonical_json(value: Any) -> str:
    """Serialise to JSON with sorted keys and no spaces, so that equal values give equal strings.

    Raises
    ------
    ValueError
        If a float is NaN or infinite: JSON has no such numbers.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, else remove it.

    The folder is made if it is missing. The data is flushed to disk before the rename, so a crash at any moment leaves
    either the whole file or none.

    Raises
    ------
    StorageError
        If the system does not let us write: no room, no right, a disk that fails.
    """
    final = Path(path)
    temporary = temporary_name(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush(temporary)
        temporary.replace(final)
        flush(final.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        refused = None if isinstance(error, ConnectomakeError) else _refused(final, temporary, error)
        if refused is not None:
            raise refused from error
        raise


def temporary_name(final: Path) -> Path:
    """Return a name beside a file that no other process uses, and that identifies the process: see `stale_files`."""
    return final.with_name(f".{final.name}.{os.getpid()}.{processes.machine()}{processes.boot()}{secrets.token_hex(4)}.part")


def _refused(final: Path, temporary: Path, error: BaseException) -> Exception | None:
    """Return our error for what the system refused while the file was written; None where another file is meant."""
    named = getattr(error, "filename", None)
    own = not isinstance(named, str | bytes) or Path(os.fsdecode(named)) in (temporary, final, *final.parents)
    return storage_error(final, error, "written") if own else None


def final_path(path: str | os.PathLike[str]) -> Path:
    """Return the name that a temporary file of `atomic_path` will get; that of any other file is its own.

    Examples
    --------
    >>> final_path("out/.0.up.h5.4711.0a1b2c3d.part").as_posix(), final_path("out/0.up.h5").as_posix()
    ('out/0.up.h5', 'out/0.up.h5')
    """
    found = _TEMPORARY.fullmatch(Path(path).name)
    return Path(path).with_name(found.group(1)) if found else Path(path)


def flush(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Atomically write `data` to `path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Atomically write `text` to `path` as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Atomically write `value` to `path` as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n")
