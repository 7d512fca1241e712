"""Write docs/benchmarks.md from benchmarks/results.json: the figures as measured."""

import importlib
from collections.abc import Iterator
from typing import Any

from benchmarks.machine import ROOT

PAGE = ROOT / "docs/benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench` from `benchmarks/results.json`, which has every repeat and the versions of all packages. Nothing here is
copied from elsewhere: each reference was run on the same machine in the same minutes. A ratio is the median of ours over the
median of the reference. One part alone: `.venv/bin/python -m benchmarks components`. The real volume is used where the
environment variable `CONNECTOMAKE_DATA` names its folder; otherwise a synthetic one, and the titles say so.
"""


def page_of(results: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the page."""
    return "\n".join([HEAD, *(line for name in names if name in results for line in _section(name, results[name]))])


def _section(name: str, result: dict[str, Any]) -> Iterator[str]:
    yield f"## {result['title']}\n"
    if "skipped" in result:
        yield f"Skipped: {result['skipped']}\n"
        return
    yield f"{(importlib.import_module(f'benchmarks.{name}').__doc__ or '').strip()}\n"
    yield f"{result['date']}, {_machine(result)}.\n"
    yield "| measured | value | reference | ratio | target | met |\n| --- | ---: | ---: | ---: | --- | --- |"
    for row in result["rows"]:
        yield _line(row)
    yield ""
    pairs = [ratio for row in result["rows"] for ratio in row.get("pair_ratios", [])]
    if pairs:
        yield f"Ratio of each repeat to the reference run right after it: {', '.join(map(str, pairs))}.\n"
    yield from _profile(result.get("profile"))


def _machine(result: dict[str, Any]) -> str:
    machine, load = result["machine"], result.get("load_average")
    shared = f"; load average {load['before']} before, {load['after']} after" if load else ""
    return f"{machine['cores']} cores of a shared VM ({machine['processor']}), {machine['memory_gib']} GiB{shared}"


def _line(row: dict[str, Any]) -> str:
    reference = f"{row['reference']:,} {row.get('unit', '')} {row['against']}".replace("  ", " ") if "reference" in row else ""
    bounds = [f"≥ {row['least']:.2g}" if "least" in row else "", f"≤ {row['limit']:g}" if "limit" in row else ""]
    met = {None: "", True: "yes", False: "no"}[row.get("met")]
    cells = [
        row["what"],
        f"{row['value']:,} {row.get('unit', '')}".strip(),
        reference,
        str(row.get("ratio", "")),
        " and ".join(filter(None, bounds)),
        met,
    ]
    return f"| {' | '.join(cells)} |"


def _profile(profile: dict[str, Any] | None) -> Iterator[str]:
    if profile is None:
        return
    head = profile["snakemake"]
    yield (
        f"Where the time of one run goes: {profile['wall_s']} s; Snakemake itself {head['cpu_s']} s of CPU, the server that "
        f"forks scripts {head['script_server_cpu_s']} s, the first job after {head['until_first_job_s']} s.\n"
    )
    yield "| rule | jobs | CPU s | wall s, summed |\n| --- | ---: | ---: | ---: |"
    for rule, took in profile["rules"].items():
        yield f"| {rule} | {took['jobs']} | {took['cpu_s']} | {took['wall_s']} |"
    yield ""
