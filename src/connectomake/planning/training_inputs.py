"""Whether the volumes that a training learned from are still what they were."""

from pathlib import Path
from typing import Any

from connectomake.atomic import canonical_json
from connectomake.errors import ConnectomakeError
from connectomake.planning.content import Rule, settle
from connectomake.sources import SourceOptions, open_source, resolve_local
from connectomake.sources.identity import Identity, as_identity, of_file

ALL = Rule(below=1 << 62, deep=True)
"""Volumes are read into memory to learn from them: they can be read for their checksums, too."""


def changed_inputs(config: dict[str, Any], rule: Rule = ALL) -> dict[str, str]:
    """Return what the contents of a training's volumes are called, by key, as far as they are not what was first seen there.

    Parameters
    ----------
    config
        Normalised training config.
    rule
        How carefully to look.

    Returns
    -------
    dict
        Empty if all is as it was. What cannot be opened is left out: the training itself says why.
    """
    places = {
        f"volumes[{i}].{part}": volume[part] for i, volume in enumerate(config["volumes"]) for part in ("image", "labels")
    }
    if config.get("initial_weights"):
        places["initial_weights"] = {"path": config["initial_weights"]}
    found = {}
    for name, section in places.items():
        try:
            key = canonical_json(
                ["training", resolve_local(section["path"], "."), section.get("dataset"), section.get("scale")]
            )
            seen = settle(section["path"], key, _identity(section), rule)
        except ConnectomakeError:
            continue
        if seen.identity != seen.first:
            found[name] = seen.identity
    return found


def _identity(section: dict[str, Any]) -> Identity:
    if "dataset" not in section:
        return of_file(Path(section["path"]))
    options = SourceOptions.of(section)
    return as_identity(open_source(section["path"], section["dataset"], (1, 1, 1), section["scale"], options).identity)
