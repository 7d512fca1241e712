"""Whether a file that lies there was made with the settings of today."""

import os
from pathlib import Path

from connectomake.errors import LayerError
from connectomake.layers import read_record


def is_stale(path: str | os.PathLike[str], fingerprint: str) -> bool:
    """Return whether a file exists but its record is of other settings, or it has none.

    Parameters
    ----------
    path
        A target.
    fingerprint
        Of its stage, today.
    """
    if not Path(path).exists():
        return False
    try:
        return bool(read_record(path).get("fingerprint") != fingerprint)
    except LayerError:
        return True
