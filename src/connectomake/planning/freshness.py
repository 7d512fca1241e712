"""Whether a file that lies there was made with the settings of today, and is what was written.

Damage raises whatever it trips over, so here any exception means that the file cannot be used and is to be made again: nothing
that lies in the folder of results may stop a run from starting.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from connectomake.layers import read_record
from connectomake.layers.companions import check_companion

ENDS = {".png": bytes.fromhex("0000000049454e44ae426082"), ".html": b"</html>\n"}
"""How pages and pictures of reports end that were made before they had records."""


def is_stale(path: str | os.PathLike[str], fingerprint: str, others: Sequence[str | os.PathLike[str]] = ()) -> bool:
    """Return whether a file exists but its record is of other settings, or it has none, or cannot be read.

    Parameters
    ----------
    path
        A target.
    fingerprint
        Of its stage, today.
    others
        Files of the same job that have no record: also if one of them exists and is not as it was written.
    """
    try:
        record = {"fingerprint": fingerprint} if is_older_report(path) else read_record(path)
        for other in others:
            if os.path.lexists(other):
                check_companion(path, record, other)
        return bool(record.get("fingerprint") != fingerprint)
    except Exception:
        return os.path.lexists(path)  # asked only now: most files are there and whole


def is_older_report(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a whole page or picture of a report that was made before they had records.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if os.path.basename(os.path.dirname(path)) != "report":  # noqa: PTH119, PTH120  (asked for every file of a run)
        return False
    place = Path(path)
    if place.suffix not in ENDS:
        return False
    end = ENDS[place.suffix]
    with place.open("rb") as stream:
        stream.seek(max(stream.seek(0, os.SEEK_END) - len(end), 0))
        return stream.read() == end


def is_text_stale(path: str | os.PathLike[str], text: str) -> bool:
    """Return whether a file whose text follows from the plan exists but says something else, or cannot be read."""
    if not os.path.lexists(path):
        return False
    try:
        return Path(path).read_bytes() != text.encode()
    except OSError:
        return True
