"""A finding of the site check, for people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``connectomake check``.

    Attributes
    ----------
    good
        Whether nothing need be done.
    text
        What was found; if it is not good, what to do, too.
    """

    good: bool
    text: str
