"""Draw maps of the blocks: how far each is, how long it took."""

from connectomake.jobs import run
from connectomake.reporting.report import blocks_picture

run(snakemake, blocks_picture)
