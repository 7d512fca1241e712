"""Copy a volume block by block into a bucket: no reader finds it before it is complete.

Objects cannot be renamed, so chunks are written where they stay, and metadata, without which they are no volume, last of all.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError, ConnectomakeError, StorageError
from connectomake.exporting.arrays import Array
from connectomake.exporting.formats import FORMATS, ExportFormat
from connectomake.exporting.volume import Level, Options, Writer
from connectomake.sources.reasons import reason, way_out
from connectomake.storage.address import Address
from connectomake.storage.kvstore import describe
from connectomake.storage.patience import TENSORSTORE

SCHEMES = ("s3", "gs")
SECONDS = 600.0


def check_bucket_place(destination: str, levels: Sequence[Level], form: ExportFormat) -> None:
    """Raise a ConfigError unless a format can be written to an address."""
    address = Address.of(destination)
    if address.scheme not in SCHEMES or not address.bucket:
        raise ConfigError(f"{destination} cannot be written to; name a local path, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER")
    if not address.prefix:
        raise ConfigError(f"{destination} names a whole bucket; name a folder in it, such as {destination.rstrip('/')}/volume")
    if not form.objects:
        there = ", ".join(f.name for f in FORMATS.values() if f.objects)
        raise ConfigError(
            f"{form.text} is not written to a bucket in parts; export to a local path and copy it there, or choose a --format "
            f"of many objects: {there}"
        )
    for level in levels:
        read = Address.of(level.source.path.partition("://")[2] if level.source.path.count("://") > 1 else level.source.path)
        inner, outer = f"{read.prefix}/", f"{address.prefix}/"
        if (read.scheme, read.bucket) == (address.scheme, address.bucket) and (
            inner.startswith(outer) or outer.startswith(inner)
        ):
            raise ConfigError(
                f"{destination} is, holds, or lies in what is read ({level.source.path}); name another destination"
            )


@contextlib.contextmanager
def in_bucket(
    destination: str, levels: Sequence[Level], form: ExportFormat, options: Options, overwrite: bool
) -> Iterator[list[Writer]]:
    """Yield a writer per level; metadata follow when the block ends well, else what was written is removed.

    Raises
    ------
    ConfigError
        If there is something already, or the format or encoding is not written to buckets.
    StorageError
        If the bucket does not let us.
    """
    check_bucket_place(destination, levels, form)
    place = destination.rstrip("/") + "/"
    with _named(destination):
        keys = _keys(place)
        _clear(keys, destination, overwrite)
    with tempfile.TemporaryDirectory(prefix="connectomake-export-") as folder:
        local = Path(folder) / "v"
        writers = form.create(local, levels, options)
        try:
            with _named(destination):
                yield [_moved(writer, local, place) for writer in writers]
                for name, data in _metadata(local):
                    keys.write(name, data).result(timeout=SECONDS)
        except BaseException:
            with contextlib.suppress(ValueError, OSError, TimeoutError):
                _delete(keys)
            raise


@contextlib.contextmanager
def _named(destination: str) -> Iterator[None]:
    try:
        yield
    except ConnectomakeError:
        raise
    except (ValueError, OSError, TimeoutError) as error:
        what = f"no answer within {SECONDS:g} s" if isinstance(error, TimeoutError) else reason(error)
        way = way_out(error, "check the address and your credentials, as connectomake check --storage does")
        raise StorageError(f"{destination} cannot be written ({what}); {way}") from error


def _keys(place: str) -> Any:
    import tensorstore as ts

    return ts.KvStore.open(describe(place), context=ts.Context(TENSORSTORE)).result(timeout=SECONDS)


def _clear(keys: Any, destination: str, overwrite: bool) -> None:
    """Remove existing objects if they may be replaced, including those of a killed export, which has chunks but no metadata."""
    found = len(keys.list().result(timeout=SECONDS))
    if not found:
        return
    if not overwrite:
        raise ConfigError(
            f"{destination} holds {found} objects, of a volume or of an export that was killed; name another destination, or "
            "replace them with --overwrite"
        )
    _delete(keys)


def _delete(keys: Any) -> None:
    import tensorstore as ts

    names = keys.list().result(timeout=SECONDS)
    metadata = [n for n in names if _is_metadata(bytes(n).decode("utf-8", "replace"))]
    for name in metadata:  # so that no reader finds an incomplete volume
        keys.write(name, None).result(timeout=SECONDS)
    keys.delete_range(ts.KvStore.KeyRange()).result(timeout=SECONDS)


def _moved(writer: Writer, local: Path, place: str) -> Writer:
    """Return a store that writes the same array to another place, assuming that its metadata exist."""
    import tensorstore as ts

    if type(writer) is not Array:
        raise ConfigError(
            "chunks in gzip are not written to a bucket, where each would need its Content-Encoding; choose --shard, whose "
            "shards hold gzip, or another --encoding"
        )
    spec = writer.array.spec().to_json()
    below = os.path.relpath(spec["kvstore"]["path"], local)
    kvstore = describe(place if below == "." else f"{place}{below}/")
    opened = ts.open({**spec, "kvstore": kvstore, "assume_metadata": True}, context=ts.Context(TENSORSTORE)).result(
        timeout=SECONDS
    )
    return Array(opened, writer.grain)


def _metadata(local: Path) -> list[tuple[str, bytes]]:
    """Return all metadata, those of the whole volume last."""
    files = sorted((p for p in local.rglob("*") if p.is_file()), key=lambda p: (-len(p.parts), p.name))
    return [(p.relative_to(local).as_posix(), p.read_bytes()) for p in files]


def _is_metadata(name: str) -> bool:
    return name.rpartition("/")[2] in ("info", "zarr.json", ".zarray", ".zgroup", ".zattrs", "attributes.json")
