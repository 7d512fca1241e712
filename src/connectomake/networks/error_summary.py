"""Errors of third-party code, shortened to a sentence."""

import re

_LONGEST = 240
_CAUSE = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]*(?:Error|Exception)(?::\s*|$)")
_INTERPRETER = "TorchScript interpreter"


def error_summary(error: BaseException) -> str:
    """Return the sentence of a library's or model file's complaint that names the cause.

    This is the first, but TorchScript's interpreter begins with where it was and ends with the cause; and where a line ends
    with a colon, as torch's about weights that do not fit, the lines after it say what is meant.

    Examples
    --------
    >>> error_summary(ValueError("no luck. Try again"))
    'no luck'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    if _INTERPRETER in lines[0]:
        lines = _last_cause(lines)
    taken = 1
    while taken < len(lines) and lines[taken - 1].endswith(":"):
        taken += 1
    return " ".join(lines[:taken]).split(". ", maxsplit=1)[0].rstrip(".:")[:_LONGEST]


def _last_cause(lines: list[str]) -> list[str]:
    """Return the lines from the last on that names an error, without its kind if a message follows."""
    for at in range(len(lines) - 1, 0, -1):
        found = _CAUSE.match(lines[at])
        if found:
            rest = lines[at][found.end() :]
            return [rest or lines[at], *lines[at + 1 :]]
    return lines[-1:]
