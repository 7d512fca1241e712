"""Check a config against the schema, fill in the defaults."""

import copy
import functools
import math
from importlib import resources
from typing import Any

from connectomake.bounded_text import TooLargeError, check_amount
from connectomake.config.messages import message_of, shown
from connectomake.config.quoted import meant
from connectomake.credentials import hide_all
from connectomake.errors import ConfigError

RUN, TRAINING = "schema.yaml", "training.yaml"
"""The schemas: of a run's config, and of a training's."""


@functools.cache
def schema(name: str = RUN) -> dict[str, Any]:
    """Return the JSON Schema of a config: every key with description and default."""
    import yaml

    text = resources.files("connectomake.config").joinpath(name).read_text()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C, where PyYAML has it, takes a tenth of the time
    loaded: dict[str, Any] = yaml.load(text, loader)  # noqa: S506  (both are safe)
    return loaded


def normalise(config: dict[str, Any], name: str = RUN) -> dict[str, Any]:
    """Check a config against a schema and return a copy with all defaults filled in and passwords in URLs hidden.

    Parameters
    ----------
    config
        As parsed from YAML; not changed.
    name
        Of the schema: `RUN` or `TRAINING`.

    Raises
    ------
    ConfigError
        For the first key that is unknown, missing or of a wrong value.
    """
    check_plain(config)
    filled: dict[str, Any] = _fill(hide_all(copy.deepcopy(config)), schema(name), schema(name))
    _validate(filled, name)
    return filled


def check_plain(value: Any) -> None:
    """Refuse what YAML can say but JSON cannot (dates, NaN, keys that are numbers), and texts with control characters.

    Raises
    ------
    ConfigError
        For the first such value, or if there are more values, or deeper ones, than in any config.
    """
    try:
        check_amount(value)
    except TooLargeError as error:
        raise ConfigError(f"this is not a valid config: {error}; correct it") from error
    _check_values(value, "")


def _check_values(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"key {key!r} in {place or 'config'} is not a string; remove or correct it")
            _check_values(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _check_values(part, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{place}: {value} is not a finite number; write a number, or leave the key out for its default")
    elif isinstance(value, str) and not value.isprintable():
        raise ConfigError(f"{place}: {shown(value)} holds a line break or control character; write it on one line")
    elif value is not None and not isinstance(value, str | int | float):
        raise ConfigError(f"{place}: {value} is read as a {type(value).__name__}; quote it if it should be a string")


def _fill(value: Any, part: dict[str, Any], root: dict[str, Any]) -> Any:
    """Fill in the defaults of a part of the schema `root`."""
    part = _resolved(part, root)
    if isinstance(value, list) and "anyOf" in part:
        part = next((p for p in (_resolved(q, root) for q in part["anyOf"]) if p.get("type") == "array"), part)
    if isinstance(value, list) and isinstance(part.get("items"), dict):
        return [_fill(item, part["items"], root) for item in value]
    if isinstance(value, str):
        return meant(value, part)
    if not isinstance(value, dict):
        return value
    for key, sub in part.get("properties", {}).items():
        if key not in value and "default" in sub:
            value[key] = copy.deepcopy(sub["default"])
        if key in value:
            value[key] = _fill(value[key], sub, root)
    return value


def _resolved(part: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = root["$defs"][part["$ref"].removeprefix("#/$defs/")] if "$ref" in part else part
    return found


@functools.cache
def _validator(name: str) -> Any:
    """Return the validator of the schema, for which 32.0 is no integer: a param must not depend on how it is written."""
    import jsonschema

    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine("integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool))
    return jsonschema.validators.extend(base, type_checker=types)(schema(name))  # type: ignore[no-untyped-call]


def _validate(config: dict[str, Any], name: str) -> None:
    import jsonschema

    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(config), key=lambda e: -len(e.absolute_path))
    if error is not None:
        raise ConfigError(message_of(error))
