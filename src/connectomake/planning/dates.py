"""Files that are dated in the future: what is made from them seems older than they are.

Snakemake stops after every job whose output is older than an input, and would run it again each time.
"""

import time
from collections.abc import Iterable
from pathlib import Path

SLACK_SECONDS = 60.0
"""By so much clocks of machines may differ."""


def modified(path: str) -> float:
    """Return when a file was last written, in seconds since 1970; 0 if it is not there."""
    try:
        return Path(path).stat().st_mtime
    except (OSError, ValueError):
        return 0.0


def in_future(paths: Iterable[str]) -> dict[str, float]:
    """Return the times of those files that are dated in the future, in seconds since 1970."""
    limit = time.time() + SLACK_SECONDS
    return {path: when for path in paths if (when := modified(path)) > limit}


def future_text(dated: dict[str, float], repair: str = "connectomake verify --repair") -> str:
    """Return the sentence on files that are dated in the future, and the way out.

    Parameters
    ----------
    dated
        As `in_future` returns them.
    repair
        The command that dates them anew.
    """
    path, when = next(iter(dated.items()))
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
    return (
        f"{len(dated):,} file(s) are dated in the future, such as {path} ({date}): what is made from them seems older "
        f"and fails; check the clocks of the machines, then `{repair}` dates them anew; a source is dated anew with `touch`"
    )
