"""Compressed files, recognised by their suffix."""

import bz2
import gzip
import io
import lzma
import zlib

from connectomake.errors import SourceError

SUFFIXES = (".gz", ".br", ".zstd", ".zst", ".xz", ".bz2")


def decompress(data: bytes, suffix: str, most: int, name: str) -> bytes:
    """Return what a file with this suffix holds; without one, `data`.

    Parameters
    ----------
    data
        Content of the file.
    suffix
        Of `SUFFIXES`, or "".
    most
        More bytes than these are an error.
    name
        Of the file, for errors.

    Raises
    ------
    SourceError
        If it cannot be decompressed, or holds more.
    """
    if not suffix:
        return data
    try:
        plain = _decompressed(data, suffix, most + 1)
    except Exception as error:
        raise SourceError(f"{name} cannot be decompressed ({error or type(error).__name__}); copy it again") from error
    if len(plain) > most:
        raise SourceError(f"{name} holds more than {most:,} bytes, which no storage chunk of this layer does; copy it again")
    return plain


def _decompressed(data: bytes, suffix: str, most: int) -> bytes:
    if suffix == ".br":
        return _brotli(data, most)
    if suffix == ".gz" and (found := _one_member(data, most)) is not None:
        return found
    if suffix in (".zst", ".zstd"):
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            found = reader.read(most)
        if not found and data[:4] != b"\x28\xb5\x2f\xfd":
            raise ValueError("it is not zstd")
        return found
    opener = {".gz": gzip.GzipFile, ".xz": lzma.LZMAFile, ".bz2": bz2.BZ2File}[suffix]
    stream = opener(fileobj=io.BytesIO(data)) if suffix == ".gz" else opener(io.BytesIO(data))
    with stream:
        return bytes(stream.read(most))


def _one_member(data: bytes, most: int) -> bytes | None:
    """Return what a gzip file of one whole member holds, which is faster than the general way; None of others."""
    decoder = zlib.decompressobj(wbits=31)
    found = decoder.decompress(data, most)
    return found if decoder.eof and not decoder.unused_data else None


def _brotli(data: bytes, most: int) -> bytes:
    import brotli

    decoder = brotli.Decompressor()
    found = decoder.process(data, output_buffer_limit=most)
    while not decoder.is_finished() and not decoder.can_accept_more_data() and len(found) < most:
        found += decoder.process(b"", output_buffer_limit=most - len(found))
    if not decoder.is_finished() and len(found) < most:
        raise ValueError("it ends too early")
    return bytes(found)
