"""Measure all benchmarks, or those named; print a table; write ``benchmarks/results.json`` and ``docs/benchmarks.md``."""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import MODULES
from benchmarks.machine import load, machine, today, versions
from benchmarks.page import PAGE, page_of
from benchmarks.rows import Row, Skipped, rounded

RESULTS = Path(__file__).with_name("results.json")


def measure(name: str) -> dict[str, Any]:
    """Run one benchmark; its result, with date, machine and load, or the reason why it cannot run here."""
    began, before = time.perf_counter(), load()
    try:
        result = importlib.import_module(f"benchmarks.{name}").run()
    except Skipped as reason:
        return {"title": name, "skipped": str(reason), "rows": []}
    return {
        **result,
        "date": today(),
        "machine": machine(),
        "versions": versions(),
        "load_average": {"before": before, "after": load()},
        "seconds": time.perf_counter() - began,
    }


def to_json(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with its rows as plain values."""
    return {**rounded({k: v for k, v in result.items() if k != "rows"}), "rows": [row.to_json() for row in result["rows"]]}


def table_of(results: dict[str, dict[str, Any]]) -> Table:
    """Return one table of all rows."""
    table = Table("benchmark", "measured", "value", "reference", "ratio", "target", "met", title="connectomake benchmarks")
    for name, result in results.items():
        table.add_section()
        if "skipped" in result:
            table.add_row(name, f"skipped: {result['skipped']}", *[""] * 5)
        for row in result["rows"]:
            table.add_row(name, *_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    reference = "" if row.reference is None else f"{_text(row.reference)} {row.unit} {row.against}"
    bounds = [f"≥ {row.least:g}" if row.least is not None else "", f"≤ {row.limit:g}" if row.limit is not None else ""]
    met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.met]
    ratio = "" if row.ratio is None else _text(row.ratio)
    return [row.what, f"{_text(row.value)} {row.unit}", reference, ratio, " ".join(filter(None, bounds)), met]


def _text(value: float) -> str:
    return f"{rounded(float(value)):,}"


def main() -> int:
    """Return 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(MODULES)}; all without")
    names = parser.parse_args().names or list(MODULES)
    unknown = sorted(set(names) - set(MODULES))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(MODULES)}")
    console = Console()
    results = {}
    for name in names:
        console.print(f"measuring {name} …")
        results[name] = measure(name)
        _keep(name, results[name])
    console.print(table_of(results))
    return int(any(row.met is False for result in results.values() for row in result["rows"]))


def _keep(name: str, result: dict[str, Any]) -> None:
    """Put a result among the others in the file; one that was skipped replaces nothing."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if "skipped" not in result or name not in kept:
        kept[name] = to_json(result)
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page_of(kept, MODULES))


if __name__ == "__main__":
    sys.exit(main())
