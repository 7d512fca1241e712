"""Change values of a config file in place: comments, order and the rest of the text stay."""

import copy
import json
from pathlib import Path
from typing import Any

from connectomake.atomic import atomic_path
from connectomake.config import load_config
from connectomake.errors import ConfigError


def write_changes(path: str, changed: dict[str, Any]) -> None:
    """Change values in a config's file.

    The new file is written beside the old one, read again, compared with what was meant, and only then takes its name.

    Parameters
    ----------
    path
        The config; a link is followed.
    changed
        Values by the path of their key, ``inference.patch``.

    Raises
    ------
    ConfigError
        If the text cannot be changed in place, or the file cannot be written; it stays as it was.
    """
    place = Path(path).resolve()
    meant = with_values(load_config(place), changed)
    try:
        before = place.read_bytes()
        text = before.decode()
        for key, value in changed.items():
            text = with_value(text, key.split("."), value)
        with atomic_path(place) as temporary:
            temporary.write_bytes(text.encode())
            temporary.chmod(place.stat().st_mode & 0o777)
            if load_config(temporary) != meant or place.read_bytes() != before:
                raise ConfigError("it would not be read back with the chosen values")
    except OSError as error:
        raise ConfigError(f"config {path} cannot be written ({error.strerror}); it stays as it was") from error
    except ConfigError as error:
        lines = "; ".join(f"{key}: {json.dumps(value)}" for key, value in changed.items())
        raise ConfigError(
            f"config {path} cannot be changed in place ({error}) and stays as it was; write yourself: {lines}"
        ) from error


def with_values(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return a config with values changed, by the path of their key; sections that are not there are made."""
    found = copy.deepcopy(config)
    for key, value in changed.items():
        part, *rest = key.split(".")
        section = found
        for name in rest:
            section = section.setdefault(part, {})
            part = name
        section[part] = value
    return found


def with_value(text: str, path: list[str], value: Any) -> str:
    """Return the text of a YAML mapping with one value changed, or added.

    Examples
    --------
    >>> with_value("a: 1  # one\\nb: {c: [1, 2]}\\n", ["b", "c"], [3, 4])
    'a: 1  # one\\nb: {c: [3, 4]}\\n'
    """
    import yaml

    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, name in enumerate(path):
        found = _value(node, name)
        if found is None:
            return _insert(text, node, path[depth:], value, top=depth == 0)
        node = found
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list) and len(value) == len(node.value):
        for item, new in zip(reversed(node.value), reversed(value), strict=True):
            text = _replaced(text, item, new)
        return text
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        raise ConfigError(f"{'.'.join(path)} is written over several lines")
    return _replaced(text, node, value)


def _value(node: Any, name: str) -> Any:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{name} is not in a mapping")
    return next((value for key, value in node.value if key.value == name), None)


def _replaced(text: str, node: Any, value: Any) -> str:
    return f"{text[: node.start_mark.index]}{json.dumps(value)}{text[node.end_mark.index :]}"


def _insert(text: str, node: Any, path: list[str], value: Any, top: bool) -> str:
    """Add a key: at the end of the file, or as the first of its section."""
    line = "".join(f"{{{json.dumps(name)[1:-1]}: " for name in path[1:])
    entry = f"{path[0]}: {line}{json.dumps(value)}{'}' * (len(path) - 1)}"
    end = "\r\n" if "\r\n" in text else "\n"
    if node.flow_style:
        at = node.start_mark.index + 1
        return f"{text[:at]}{entry}{', ' if node.value else ''}{text[at:]}"
    if top:
        return f"{text}{'' if text.endswith(end) else end}{entry}{end}"
    mark = node.value[0][0].start_mark
    return f"{text[: mark.index]}{entry}{end}{' ' * mark.column}{text[mark.index :]}"
