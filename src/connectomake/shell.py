"""Commands that are printed to be copied into a shell."""

import os
import shlex


def command(*words: str | os.PathLike[str]) -> str:
    """Return words as one line that a shell splits into the same words, quoted where they need it.

    Examples
    --------
    >>> command("connectomake", "check", "my runs/a;b.yaml")
    "connectomake check 'my runs/a;b.yaml'"
    """
    return shlex.join(os.fspath(word) for word in words)
