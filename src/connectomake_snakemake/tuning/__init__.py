"""Replacements for parts of Snakemake that take more time or memory than this workflow needs; `tune` installs them.

Each replacement gives the same answers as what it replaces. On the head, a Snakemake that was not tried is left as it is:
slower, but right.
"""

from connectomake_snakemake.attributes import SNAKEMAKE as TRIED


def is_tried() -> bool:
    """Return whether the Snakemake that runs is one of them."""
    from snakemake import __version__

    return str(__version__).startswith(TRIED)
