"""connectomake: make for connectomics.

Every block, merge table and mesh of a 3-D electron microscopy volume is a file target of a Snakemake workflow.
"""

from connectomake.compiled import use_cache_of_this_source

__version__ = "0.1.0"
use_cache_of_this_source()
