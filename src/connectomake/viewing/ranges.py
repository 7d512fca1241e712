"""HTTP range requests.

Source: RFC 9110, section 14.
"""

import re

_DIGITS = 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes that a Range header asks for, as (start, stop).

    Parameters
    ----------
    header
        Value of the header, or None.
    size
        Size of the file.

    Returns
    -------
    tuple or None
        None if the whole file is to be sent: no header, one in another unit, malformed, or of several ranges (a server may
        ignore these). ``start >= stop`` if no byte of the range exists.

    Examples
    --------
    >>> parse_range("bytes=2-4", 10), parse_range("bytes=8-", 10), parse_range("bytes=-3", 10)
    ((2, 5), (8, 10), (7, 10))
    """
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return (max(size - _number(last), 0), size) if _number(last) else (size, size)
    if last and _number(last) < _number(first):
        return None
    return _number(first), min(_number(last) + 1, size) if last else size


def _number(digits: str) -> int:
    """Return a number of bytes; of one beyond any file only that it is: Python reads no 5,000 digits."""
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS
