"""Draw sections: image, objects, blocks."""

from typing import Any

from connectomake.jobs import run
from connectomake.reporting.report import slices_picture

snakemake: Any  # Snakemake defines it
run(snakemake, slices_picture)
