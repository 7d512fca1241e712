"""Reading a config's YAML, strictly: every key once, only plain values."""

import functools
import io
from pathlib import Path
from typing import Any

from connectomake.bounded_text import TooLargeError, check_yaml, read_text
from connectomake.errors import ConfigError

_TYPES = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "true or false"}


def load_config(path: str | Path) -> dict[str, Any]:
    """Read a YAML config as it stands, without defaults.

    Raises
    ------
    ConfigError
        If the file is missing, not a YAML mapping, beyond all bounds, or names a key twice.
    """
    import yaml

    try:
        text = read_text(path)
        check_yaml(text)
        stream = io.StringIO(text)
        stream.name = str(path)  # for the places that messages name
        value = yaml.load(stream, _loader())  # noqa: S506  (a SafeLoader)
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read ({error.strerror}); name a YAML file") from error
    except TooLargeError as error:
        raise ConfigError(f"config {path} is not a valid config: {error}; correct it, or name another file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {path} is not UTF-8 text; save it as such, or name a YAML file") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f", line {mark.line + 1}," if mark else ""
        raise ConfigError(f"config {path}{where} is not YAML ({problem or error}); correct that line") from error
    if value is None:
        raise ConfigError(f"config {path} is empty; it needs at least outdir, source, block; see the demo's config.yaml")
    if not isinstance(value, dict):
        kind = _TYPES.get(type(value), type(value).__name__)
        raise ConfigError(f"config {path} holds {kind}, not keys and values; see the demo's config.yaml")
    return value


@functools.cache
def _loader() -> Any:
    """Return a loader that refuses a key that stands twice, of which plain YAML takes the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if key.tag.endswith(":str") and key.value in seen:
                    place = f"{key.start_mark.name} has the key {key.value!r} twice"
                    raise ConfigError(f"config {place}, the second time in line {key.start_mark.line + 1}; take one out")
                seen.add(key.value if isinstance(key.value, str) else None)
            return super().construct_mapping(node, deep)

    return Loader
