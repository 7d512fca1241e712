"""Pins: what a plan makes of each of some configs, stored, so that a change of the code's structure changes nothing for users.

Each file `NAME.json` holds for one config (see `cases`): params and fingerprints, names of files, what each file is made from,
memory and time, what commands print, Snakemake's jobs, tasks of a queue. Long lists are stored as a count, the first items, a
hash of all, and two digits for each, by which a failing test names the items that changed.

    python -m tests.pins              # writes all files anew
    python -m tests.pins demo fib25   # some of them
    python -m tests.pins --whole DIR  # writes everything in full into a folder: to compare two commits with diff

When files may be written anew: where a result, a file's name, a demand or a printed line is meant to change, in the same
commit, whose message says why. A new config key or stage may add lines; a line that goes or changes means that users remake
results, or that their commands answer otherwise. Where only the library's own names move, `collect` and `dag` follow them, and
no file changes.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def stored(name: str) -> Any:
    """What is stored for a config, None if nothing is."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
