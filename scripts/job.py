"""Do the job of any rule: what it does is said where its stage is declared, in connectomake.pipeline."""

from typing import Any

from connectomake.jobs import run

snakemake: Any  # Snakemake defines it
run(snakemake)
