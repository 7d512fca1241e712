"""What Snakemake does more often, or with more memory, than this workflow needs; workflow/rules/tuning.smk puts it in place.

Each replacement gives the same answers as what it replaces and stands for one method of Snakemake, tried with 9.27. Another
Snakemake that has no such method is left as it is: slower, but right.
"""
