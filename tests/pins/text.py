"""How pins are stored, and what differs between those stored and those found, in sentences."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

WHOLE = 4
"""Lists of so many items are stored as they are."""
SHOWN, LINE, WIDTH = 2, 100, 128
NAMED = 5
"""So many differences of one list are named."""


def summary(value: Any) -> Any:
    """Replace long lists by what tells whether they are the same, and where not."""
    if isinstance(value, dict):
        return {key: summary(part) for key, part in value.items()}
    if not isinstance(value, list):
        return value
    texts = [_text(item) for item in value]
    if len(texts) <= WHOLE and all(len(text) <= LINE for text in texts):
        return value
    if len(texts) > 1 and len(set(texts)) == 1:
        return {"each": _shown(texts[0]), "count": len(texts), "hash": _hash(texts)}
    digits = "".join(_hash([text])[:2] for text in texts)
    return {"count": len(texts), "first": [_shown(t) for t in texts[:SHOWN]], "hash": _hash(texts), "digits": digits}


def _text(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item)


def _shown(text: str) -> str:
    return text if len(text) <= LINE else f"{text[:LINE]}…"


def _hash(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def differences(stored: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield a sentence for each thing that is found otherwise than it is stored."""
    if isinstance(found, list):
        if stored != summary(found):
            yield f"{place}: {_list_difference(stored, found)}"
    elif isinstance(found, dict) and isinstance(stored, dict):
        for key in [*stored, *(key for key in found if key not in stored)]:
            name = f"{place} > {key}" if place else key
            if key not in found:
                yield f"{name} is gone; it was {_brief(stored[key])}"
            elif key not in stored:
                yield f"{name} is new: {_brief(found[key])}"
            else:
                yield from differences(stored[key], found[key], name)
    elif stored != found:
        yield f"{place} is {_brief(found)}; it was {_brief(stored)}"


def _brief(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= 2 * LINE else f"{text[: 2 * LINE]}…"


def _list_difference(stored: dict[str, Any] | list[dict[str, int] | str], found: list[Any]) -> str:
    texts = [_text(item) for item in found]
    if isinstance(stored, list):
        gone, new = [t for t in map(_text, stored) if t not in texts], [t for t in texts if t not in map(_text, stored)]
        both = [f"{words} {', '.join(map(_brief, items))}" for words, items in (("without", gone), ("now with", new)) if items]
        return " and ".join(both) or f"in another order: {_brief(found)}"
    if not isinstance(stored, dict) or "hash" not in stored:
        return f"now a list, {_brief(found)}; it was {_brief(stored)}"
    counts = f"{len(texts)} items, {stored['count']} before"
    if "each" in stored:
        return f"{counts}; each was {stored['each']!r}, now there are {_several(dict.fromkeys(texts))}"
    digits = [stored["digits"][2 * i : 2 * i + 2] for i in range(stored["count"])]
    now = [_hash([text])[:2] for text in texts]
    if len(texts) == stored["count"]:
        places = [i for i, (a, b) in enumerate(zip(digits, now, strict=True)) if a != b]
    else:
        places = _unmatched(now, digits)
    first = next((f"; one was {t!r}" for t in stored["first"] if t not in map(_shown, texts)), "")
    named = _several(f"item {i}, {texts[i]}" for i in places) or "items that no digits tell"
    return f"{counts}; other than before are {named}{first}"


def _unmatched(now: list[str], before: list[str]) -> list[Any]:
    """Places in `now` of what `before` does not have."""
    left, places = list(before), []
    for i, digits in enumerate(now):
        if digits in left:
            left.remove(digits)
        else:
            places.append(i)
    return places


def _several(texts: Iterable[Any]) -> str:
    named = [_brief(text) for text in texts]
    more = len(named) - NAMED
    return "; ".join(named[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def dumps(value: Any, depth: int = 0) -> str:
    """JSON in which what fits into a line stands in one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(line) + depth <= WIDTH:
        return line
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, list):
        parts = [dumps(item, depth + 1) for item in value]
        return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}]"
    parts = [f"{json.dumps(key, ensure_ascii=False)}: {dumps(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}}}"
