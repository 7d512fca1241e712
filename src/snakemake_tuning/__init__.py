"""What Snakemake does more often, or with more memory, than this workflow needs; workflow/rules/tuning.smk puts it in place.

Each replacement gives the same answers as what it replaces and stands for one method of Snakemake, tried with 9.27. Another
Snakemake is left as it is: slower, but right.
"""

TRIED = ("9.27.",)
"""How the versions begin that these replacements were written for."""


def is_tried() -> bool:
    """Return whether the Snakemake that runs is one of them."""
    from snakemake import __version__

    return str(__version__).startswith(TRIED)
