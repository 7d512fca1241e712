"""Draw the largest objects' meshes."""

from connectomake.jobs import run
from connectomake.reporting.report import objects_picture

run(snakemake, objects_picture)
