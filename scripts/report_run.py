"""Write what was run, with what and how fast, as a page and as a table."""

from typing import Any

from connectomake.jobs import run
from connectomake.reporting.report import run_page

snakemake: Any  # Snakemake defines it
run(snakemake, run_page)
