"""Do the job of any rule: what it does is said where its stage is declared, in connectomake.pipeline."""

from connectomake.jobs import run

run(snakemake)
