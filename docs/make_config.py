"""Write docs/config.md from the schema of the config: ``python docs/make_config.py``. A test tells when it is outdated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectomake.config import schema

PAGE = Path(__file__).with_name("config.md")
HEAD = """# Config

<!-- Made from src/connectomake/config/schema.yaml: change that, then run `python docs/make_config.py`. -->

One YAML file says everything about a run. All triples are z, y, x; sizes are voxels unless a unit is named; lengths are nm.
Paths count from the working directory. Unknown keys are errors. A key whose default is *required* must be given.
`connectomake check CONFIG` checks it, opens the source and tries the model; `connectomake plan CONFIG` says what it means.

"""
TAIL = """
## What must fit together

- `block` is 2^k storage chunks with one k for all axes: `[128, 512, 512]` may have `[32, 128, 128]`, not `[64, 64, 64]`.
- `block` is a multiple of `meshes.cell`, which is `[64, 64, 64]` unless given, or `meshes.enabled` is false.
- `inference.patch` minus `output_patch` is even along each axis, 0 or more; `overlap` is less than `output_patch`.
- `segmentation.channel`, or for a watershed every one of `affinity_channels`, is less than `inference.channels` (without a
  network, than the source's channels).
- `segmentation.t_low` is below `t_high`.
- `segmentation.method: labels` goes without `inference`, `source.range`, `activation` and `filters`, with `relabel: none` also
  without `min_size` and a `connectivity` other than 6.
- `agglomeration` and `segmentation.min_supervoxel` need the method watershed; `agglomeration.large.threshold` is not below
  `agglomeration.threshold`. `agglomeration.thresholds` ascend and do not name `agglomeration.threshold` again.
- `merge.fan_out` is a power of two.
- `source.start` lies below `source.stop`, both within the source.
- `outdir` lies below the working directory; another disk is chosen by `snakemake --directory`, a bucket by the profile.
- A number is written out: `1000`, not `1e3`, which YAML reads as a text.

## What a change remakes

| changed | remade |
| --- | --- |
| `source`: another image, region or voxel size | everything |
| `source.path` to a copy of the same image | nothing |
| `source.filters`, or the file of a function there | everything |
| `mask`, another or none | affinity, or without a network components, and all after it |
| `inference`, the model file, its weights | affinity and all after it |
| `segmentation.method`, `channel`, `threshold`, `connectivity` | components and all after them |
| `segmentation.relabel`, with method labels | components and all after them; where ids stay, there is no merge |
| `segmentation.affinity_channels`, `t_low`, `t_high`, `t_boundary`, with method watershed | components and all after them |
| `segmentation.min_size`, `merge.fan_out` | merge and all after it |
| `merge.memory_mb` | nothing, as long as a node keeps its number of children; else merge and all after it |
| `segmentation.min_size`, where there is agglomeration | agglomeration and all after it |
| `agglomeration`, `segmentation.min_supervoxel` | agglomeration and all after it |
| `agglomeration.thresholds` | nothing; what an added one lacks is made, and the curve of scores if it is the lowest |
| `objects.properties_limit` | the object table |
| `meshes` | the meshes |
| `skeletons` | the skeletons, and what reads the object table, where their lengths are |
| `report` | the report's pages and pictures |
| `pyramid.factors`, `labels` | the coarser scales |
| `pyramid.scales` | nothing; missing scales are made |
| `evaluation`: another ground truth or box | the contingency tables and scores |
| `evaluation.ignore`, `worst` | the scores |
| `block`, `chunk`, `compression` | everything: they are the files' form, not their content |
| `keep` | nothing; a layer that was deleted before comes back when the target `kept` or its files are asked for |
"""
TYPES = {"string": "text", "boolean": "true or false", "number": "number", "integer": "whole number", "null": "null"}
MOST_SHOWN = 4096
TRIPLES = {"integer": "three whole numbers", "number": "three numbers"}


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_sections(schema())) + TAIL


def _sections(part: dict[str, Any]) -> Iterator[str]:
    top = {key: sub for key, sub in part["properties"].items() if "properties" not in sub}
    yield from _table("At the top", "", top, part)
    for key, sub in part["properties"].items():
        if "properties" in sub:
            yield from _table(f"`{key}`", _about(key, sub, part), dict(_leaves("", sub)), sub)
            for name, item in _lists(sub):
                yield from _choices(f"{key}.{name}", item)


def _lists(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the keys whose values are lists of items with keys of their own."""
    for key, sub in part["properties"].items():
        if "properties" in sub.get("items", {}):
            yield key, sub["items"]


def _choices(name: str, part: dict[str, Any]) -> Iterator[str]:
    """Return a table of what an item of a list may be."""
    yield f"## Items of `{name}`\n"
    yield "| item | keys |\n| --- | --- |"
    for key, sub in part["properties"].items():
        keys = [
            f"`{k}`: {_type(v)}{'' if k in sub.get('required', ()) else f', default {_default(k, v, sub)}'}. {_text(v)}"
            for k, v in sub["properties"].items()
        ]
        yield f"| `{key}` | {'<br>'.join([_text(sub), *keys])} |"
    yield ""


def _about(key: str, sub: dict[str, Any], part: dict[str, Any]) -> str:
    """Return what a section is for, and whether it may be left out."""
    needed = " Required." if key in part.get("required", ()) else ""
    if "default" in sub and sub["default"] is None:
        needed = " Default: null; if it is given:"
    return f"{_text(sub)}{needed}\n"


def _leaves(prefix: str, part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, sub in part["properties"].items():
        if "properties" in sub:
            yield from _leaves(f"{prefix}{key}.", sub)
        else:
            yield prefix + key, sub


def _table(title: str, about: str, keys: dict[str, dict[str, Any]], parent: dict[str, Any]) -> Iterator[str]:
    yield f"## {title}\n"
    if about:
        yield about
    yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
    for key, sub in keys.items():
        yield f"| `{key}` | {_type(sub)} | {_default(key, sub, parent)} | {_text(sub)} |"
    yield ""


def _text(part: dict[str, Any]) -> str:
    return " ".join(str(part.get("description", "")).split()).replace("|", "\\|")


def _default(key: str, part: dict[str, Any], parent: dict[str, Any]) -> str:
    if key in parent.get("required", ()):
        return "*required*"
    return f"`{_yaml(part['default'])}`" if "default" in part else ""


def _yaml(value: Any) -> str:
    """Return a default as it would stand in the file."""
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)


def _type(part: dict[str, Any]) -> str:
    """Return what a value may be, in words."""
    if "$ref" in part:
        return _type(schema()["$defs"][part["$ref"].rpartition("/")[2]])
    if "anyOf" in part:
        return " or ".join(_type(p) for p in part["anyOf"])
    if "enum" in part:
        return " or ".join(f"`{v}`" for v in part["enum"] if v is not None) + (" or null" if None in part["enum"] else "")
    names = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return " or ".join(_named(name, part) for name in names)


def _named(name: str, part: dict[str, Any]) -> str:
    if name == "array":
        items = part["items"]
        if part.get("maxItems") == 2:
            return "two numbers"
        if part.get("maxItems") != 3:
            return f"list of {', '.join(f'`{v}`' for v in items['enum'])}" if "enum" in items else _list_of(items)
        return TRIPLES[items["type"]] + _range(items)
    return TYPES[name] + (_range(part) if name in ("integer", "number") else "")


def _list_of(items: dict[str, Any]) -> str:
    names = {
        "object": "list of items", "array": "list of triples", "string": "list of texts",
        "number": "list of numbers",
    }  # fmt: skip
    return names.get(items["type"], "list of whole numbers")


def _range(part: dict[str, Any]) -> str:
    """Return the values that are allowed, `` 0 to 9`` or `` ≥ 1``; limits that only guard against nonsense are left out."""
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None and high <= MOST_SHOWN:
        return f" {low} to {high}"
    bounds = [("≥", low), (">", part.get("exclusiveMinimum")), ("<", part.get("exclusiveMaximum"))]
    texts = [f"{sign} {bound:g}" for sign, bound in bounds if bound is not None]
    return f" {', '.join(texts)}" if texts else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
