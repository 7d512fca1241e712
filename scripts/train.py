"""Train a network."""

import sys

from connectomake.errors import ConnectomakeError
from connectomake.jobs import logged
from connectomake.teaching import teach

with logged(str(snakemake.log[0])):
    try:
        teach(snakemake.params.config, lambda line: print(line, flush=True))
    except ConnectomakeError as error:
        print(f"connectomake: error: {error}", file=sys.stderr)
        sys.exit(1)
