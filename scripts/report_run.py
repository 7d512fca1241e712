"""Write what was run, with what and how fast, as a page and as a table."""

from connectomake.jobs import run
from connectomake.reporting.report import run_page

run(snakemake, run_page)
