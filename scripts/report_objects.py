"""Draw the largest objects' meshes."""

from typing import Any

from connectomake.jobs import run
from connectomake.reporting.report import objects_picture

snakemake: Any  # Snakemake defines it
run(snakemake, objects_picture)
