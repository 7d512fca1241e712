"""Replacements for parts of Snakemake and its plugins, and the helpers that the workflow's rules need.

`attributes` lists each attribute that is replaced, with the reason and the versions that were tried; nothing is replaced but
through `replaced.replace`, which knows that list. The library `connectomake` imports neither this package nor Snakemake.
"""
