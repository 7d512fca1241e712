"""Draw sections: image, objects, blocks."""

from connectomake.jobs import run
from connectomake.reporting.report import slices_picture

run(snakemake, slices_picture)
