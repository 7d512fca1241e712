"""Write pins: see the package's docstring."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.pins import FOLDER
from tests.pins.cases import cases
from tests.pins.collect import jobs, of_library, of_snakemake
from tests.pins.text import dumps, summary


def main(words: Any) -> None:
    """Write the pins of the named configs, or of all; in full, into a folder, with ``--whole FOLDER``."""
    whole = Path(words[words.index("--whole") + 1]) if "--whole" in words else None
    names = [word for word in words if word in cases()] or list(cases())
    for name, found in all_pins(names).items():
        text = json.dumps(found, indent=1) if whole else dumps(summary(found))
        folder = whole or FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(f"{text}\n")
        print(f"{folder / name}.json")


def all_pins(names: list[str]) -> dict[str, dict[str, Any]]:
    """All that is pinned of configs, in full."""
    plans, found = {name: cases()[name].plan() for name in names}, of_snakemake(names)
    return {name: of_library(plan) | {"jobs": jobs(plan, found[name])} for name, plan in plans.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
