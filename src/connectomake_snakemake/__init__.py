"""What the workflow puts in place of parts of Snakemake and its plugins, and what its rules ask of Snakemake.

`attributes` lists each attribute that is replaced, with the reason and the versions that were tried; nothing is replaced but
through `replaced.replace`, which knows that list. The library `connectomake` imports neither this package nor Snakemake.
"""
