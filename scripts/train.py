"""Train a network."""

import sys
from typing import Any

from connectomake.errors import ConnectomakeError
from connectomake.jobs import logged
from connectomake.train_from_config import train_from_config

snakemake: Any  # Snakemake defines it

with logged(str(snakemake.log[0])):
    try:
        train_from_config(snakemake.params.config, lambda line: print(line, flush=True))
    except ConnectomakeError as error:
        print(f"connectomake: error: {error}", file=sys.stderr)
        sys.exit(1)
