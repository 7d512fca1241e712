"""Draw maps of the blocks: how far each is, how long it took."""

from typing import Any

from connectomake.jobs import run
from connectomake.reporting.report import blocks_picture

snakemake: Any  # Snakemake defines it
run(snakemake, blocks_picture)
