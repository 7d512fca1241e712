"""Read a config, check it against the schema, fill in the defaults."""

import copy
import difflib
import functools
from importlib import resources
from pathlib import Path
from typing import Any

from connectomake.errors import ConfigError


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of the config: every key with description and default."""
    import yaml

    text = resources.files("connectomake.config").joinpath("schema.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def load_config(path: str | Path) -> dict[str, Any]:
    """Read a YAML config as it stands, without defaults.

    Raises
    ------
    ConfigError
        If the file is missing or not a YAML mapping.
    """
    import yaml

    try:
        value = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read ({error.strerror}); name a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise ConfigError(f"config {path}{where} is not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"config {path} holds {type(value).__name__}, not keys and values; see the demo's config.yaml")
    return value


def normalise(config: dict[str, Any]) -> dict[str, Any]:
    """Check a config against the schema and return a copy with all defaults filled in.

    Raises
    ------
    ConfigError
        For the first key that is unknown, missing or of a wrong value.
    """
    filled = _fill(copy.deepcopy(config), schema())
    _validate(filled)
    return filled


def _fill(value: Any, part: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    for key, sub in part.get("properties", {}).items():
        if key not in value and "default" in sub:
            value[key] = copy.deepcopy(sub["default"])
        if key in value:
            value[key] = _fill(value[key], sub)
    return value


def _validate(config: dict[str, Any]) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema())
    error = jsonschema.exceptions.best_match(validator.iter_errors(config), key=lambda e: -len(e.absolute_path))
    if error is not None:
        raise ConfigError(_message(error))


def _message(error: Any) -> str:
    place = ".".join(str(p) for p in error.absolute_path) or "config"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(k for k in error.instance if k not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key {unknown!r} in {place}; {hint}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"key {missing!r} is missing in {place}: {_about(error.schema['properties'][missing])}"
    if error.validator == "anyOf" or not error.schema.get("description"):
        return f"{place}: {error.instance!r} is not allowed; wanted: {_expected(error)}"
    return f"{place}: {error.instance!r} is not allowed; wanted: {_expected(error)} ({_about(error.schema)})"


def _about(part: dict[str, Any]) -> str:
    return " ".join(str(part.get("description", "see the schema")).split()).rstrip(".")


def _expected(error: Any) -> str:
    value = error.validator_value
    texts = {
        "enum": lambda: "one of " + ", ".join(map(str, value)),
        "type": lambda: " or ".join(value) if isinstance(value, list) else value,
        "minimum": lambda: f">= {value}",
        "maximum": lambda: f"<= {value}",
        "exclusiveMinimum": lambda: f"> {value}",
        "exclusiveMaximum": lambda: f"< {value}",
        "minItems": lambda: "three numbers, z, y, x",
        "maxItems": lambda: "three numbers, z, y, x",
        "anyOf": lambda: "three integers, z, y, x, of the allowed range, or null",
        "uniqueItems": lambda: "no item twice",
        "minLength": lambda: "a text that is not empty",
    }
    return texts.get(error.validator, lambda: str(error.message))()
