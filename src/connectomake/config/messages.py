"""Error messages for a config that does not fit the schema: the key, the value, what is allowed."""

import difflib
from collections.abc import Callable
from typing import Any

LONGEST = 80
_COUNTS = {1: "at least one item", 2: "two numbers", 3: "three numbers, z, y, x"}
TYPES = {
    "array": "a list",
    "object": "keys and values",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def shown(value: Any) -> str:
    """Return a value as it would stand in YAML, cut if it is long."""
    text = {None: "null", True: "true", False: "false"}.get(value) if value is None or isinstance(value, bool) else None
    text = text or repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def message_of(error: Any) -> str:
    """Return one sentence for an error of jsonschema."""
    place = _place(error.absolute_path)
    if error.validator == "additionalProperties":
        return _unknown(error, place)
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        about = _about(error.schema["properties"][missing])
        return f"key {missing!r} is missing in {place}; add it{about}"
    return f"{place}: {shown(error.instance)} is not allowed; wanted: {_expected(error)}{_about(error.schema)}"


def _place(path: Any) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "config"


def _unknown(error: Any, place: str) -> str:
    known = list(error.schema["properties"])
    unknown = next(k for k in error.instance if k not in known)
    close = difflib.get_close_matches(unknown, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    return f"unknown key {shown(unknown)} in {place}; {hint}"


def _about(part: dict[str, Any]) -> str:
    """Return the first sentence of a key's description, in brackets."""
    text = " ".join(str(part.get("description", "")).split())
    return f" ({text.split('. ', maxsplit=1)[0].rstrip('.')})" if text else ""


def _expected(error: Any) -> str:
    value = error.validator_value
    texts: dict[str, Callable[[], str]] = {
        "enum": lambda: "one of " + ", ".join(map(str, value)),
        "type": lambda: _type(error),
        "minimum": lambda: f">= {value}",
        "maximum": lambda: f"<= {value}",
        "exclusiveMinimum": lambda: f"> {value}",
        "exclusiveMaximum": lambda: f"< {value}",
        "minItems": lambda: f"{_COUNTS.get(value, value)}",
        "maxItems": lambda: f"{_COUNTS.get(value, value)}",
        "minProperties": lambda: "one filter, such as {inverse: {}}",
        "maxProperties": lambda: "one filter; give each an item of its own",
        "anyOf": lambda: "three whole numbers, z, y, x, of the allowed range, or null",
        "uniqueItems": lambda: "no item twice",
        "minLength": lambda: "a non-empty string",
    }
    return texts.get(error.validator, lambda: str(error.message))()


def _type(error: Any) -> str:
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    if "array" in wanted and error.schema.get("minItems") == 3:
        return "three numbers, z, y, x" + (", or null" if "null" in wanted else "")
    return " or ".join(TYPES[name] for name in wanted) + _number_meant(error.instance, wanted)


def _number_meant(value: Any, wanted: list[str]) -> str:
    """Return how to write a number that YAML takes for a text, as it does with 1e3, or for a fraction."""
    if not {"integer", "number"} & set(wanted) or isinstance(value, bool) or not isinstance(value, str | float):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    if number.is_integer():
        return f", written {int(number)}"
    return f", written {number!r}" if "number" in wanted else ""
