"""The numbers in the names of sections: which one gives the order, and how it is written."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_DECIMAL = re.compile(r"[0-9]+")
_SIGNED = re.compile(r"[+-]?[0-9]+")
_HEX_LETTERS = "0123456789abcdef"
_NAMED = 3


class UnclearNamesError(ValueError):
    """Names from which the order of the files cannot be derived; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """Which section each name is.

    Parameters
    ----------
    numbers
        One per name, none twice.
    how
        What was not plain about them, as half a sentence; empty for decimal numbers, the only ones that vary.
    base
        In which they are written: 10 or 16.
    """

    numbers: tuple[int, ...]
    how: str = ""
    base: int = 10

    def text(self, number: int) -> str:
        """Return a number as the names write it."""
        return str(number) if self.base == 10 else f"{number:x}"


def number_names(names: Sequence[str]) -> Numbering:
    """Read the section's number from every name.

    Names are equal but for numbers: decimal ones, decimal ones some of which have a sign (``z-3``, ``z0``, ``z+3``), or
    hexadecimal ones of equal width with a letter somewhere (``s09``, ``s0a``). A sign that all names have is a hyphen.

    Parameters
    ----------
    names
        File names with suffix; upper and lower case do not matter.

    Raises
    ------
    UnclearNamesError
        If a name does not follow the pattern of the others, a number is there twice, or several numbers contradict each other.

    Examples
    --------
    >>> number_names(["s10.tif", "s9.tif"]).numbers, number_names(["z-1.png", "z0.png"]).numbers
    ((10, 9), (-1, 0))
    >>> number_names(["s09.tif", "s0a.tif"])
    Numbering(numbers=(9, 10), how='their numbers are hexadecimal', base=16)
    """
    stems = [name.rpartition(".")[0].casefold() for name in names]
    _refuse_twins(names, stems)
    if len(names) == 1:
        return Numbering((0,))
    for pattern in (_DECIMAL, _SIGNED):
        columns = _columns(stems, pattern)
        if columns is not None:
            return _chosen(names, columns)
    found = _hexadecimal(stems)
    if found is None:
        raise UnclearNamesError(_outliers(names, stems))
    return Numbering(found, "their numbers are hexadecimal", 16)


def _refuse_twins(names: Sequence[str], stems: Sequence[str]) -> None:
    """Refuse ``a.tif`` beside ``a.tiff`` or ``A.tif``."""
    seen: dict[str, str] = {}
    for name, stem in zip(names, stems, strict=True):
        if stem in seen:
            raise UnclearNamesError(f"{seen[stem]} and {name} are the same section twice; remove one from the folder")
        seen[stem] = name


def _columns(stems: Sequence[str], pattern: re.Pattern[str]) -> list[tuple[int, ...]] | None:
    """Return each number of the names, over all names; None if the names differ in more than numbers."""
    if len({tuple(pattern.split(stem)) for stem in stems}) != 1:
        return None
    columns = list(zip(*(pattern.findall(stem) for stem in stems), strict=True))
    if any(len(set(column)) > 1 and re.fullmatch("-0+", text) for column in columns for text in column):
        return None  # no number is written so: the sign is a hyphen
    return [tuple(int(text) for text in column) for column in columns]


def _chosen(names: Sequence[str], columns: list[tuple[int, ...]]) -> Numbering:
    """Take the one number that varies; of several, one that no two names share and that none of the others contradicts."""
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) == 1:
        _refuse_equal(names, columns[varying[0]])
        return Numbering(columns[varying[0]])
    if not varying:
        _refuse_equal(names, columns[0])
    single = [i for i in varying if len(set(columns[i])) == len(names)]
    if not single:
        raise UnclearNamesError(
            f"several numbers vary in the names ({_range_text(names)}) and none of them alone distinguishes the sections; "
            "leave only the sections of one volume in the folder, or link them into another under plain numbers"
        )
    best = min(single, key=lambda i: (_gaps(columns[i]), -i))
    order = sorted(range(len(names)), key=lambda r: columns[best][r])
    for i in varying:
        _refuse_contradiction(names, columns[i], order, best < i)
    return Numbering(
        columns[best], f"of the {len(varying)} numbers that vary in their names, number {best + 1} from the left counts"
    )


def _range_text(names: Sequence[str]) -> str:
    ordered = sorted(names)
    return f"{ordered[0]} to {ordered[-1]}"


def _gaps(column: Sequence[int]) -> int:
    return max(column) - min(column) + 1 - len(column)


def _refuse_equal(names: Sequence[str], column: Sequence[int]) -> None:
    seen: dict[int, str] = {}
    for name, number in zip(names, column, strict=True):
        if number in seen:
            raise UnclearNamesError(f"{seen[number]} and {name} are both number {number}; remove one from the folder")
        seen[number] = name


def _refuse_contradiction(names: Sequence[str], column: Sequence[int], order: Sequence[int], later: bool) -> None:
    """Refuse another number that goes down where the chosen one goes up."""
    for a, b in pairwise(order):
        if column[a] > column[b]:
            raise UnclearNamesError(
                f"several numbers vary in the names and contradict each other: {names[a]} comes before {names[b]} by one of "
                f"them, after it by {'a later' if later else 'an earlier'} one; link the sections into another folder under "
                "plain numbers"
            )


def _hexadecimal(stems: Sequence[str]) -> tuple[int, ...] | None:
    """Return numbers if what differs between the names are hexadecimal digits, as many in each, with a letter among them."""
    parts = _differing(stems)
    if len({len(part) for part in parts}) != 1 or not _hex_digits(parts):
        return None
    numbers = tuple(int(part, 16) for part in parts)
    return numbers if len(set(numbers)) == len(numbers) else None


def _hex_digits(parts: Sequence[str]) -> bool:
    digits = {c for part in parts for c in part}
    return digits <= set(_HEX_LETTERS) and bool(digits & set("abcdef")) and all(parts)


def _differing(stems: Sequence[str]) -> list[str]:
    """Cut off what all names begin with, and what they end with, but for hexadecimal digits."""
    first, last = min(stems), max(stems)
    head = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    rests = [stem[head:] for stem in stems]
    turned = [rest[::-1] for rest in rests]
    low, high = min(turned), max(turned)
    tail = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    while tail and low[tail - 1] in _HEX_LETTERS:
        tail -= 1
    return [rest[: len(rest) - tail] for rest in rests]


def _outliers(names: Sequence[str], stems: Sequence[str]) -> str:
    """Say which names do not follow the pattern that most of them follow."""
    if _hex_digits(_differing(stems)):
        return (
            f"the names ({_range_text(names)}) look like hexadecimal numbers of different widths; rename the files so that all "
            "numbers have the same number of digits"
        )
    patterns = [tuple(_DECIMAL.split(stem)) for stem in stems]
    common, count = Counter(patterns).most_common(1)[0]
    model = names[patterns.index(common)]
    if count == 1 or len(common) == 1:
        return f"the names ({_range_text(names)}) do not follow one pattern with a number; number the files in order"
    odd = [name for name, pattern in zip(names, patterns, strict=True) if pattern != common]
    more = f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
    return (
        f"{', '.join(odd[:_NAMED])}{more} {'is' if len(odd) == 1 else 'are'} not named like {model} and {count - 1} others, so "
        "the order of the sections is uncertain; move whatever is not a section out of the folder, or rename it"
    )
