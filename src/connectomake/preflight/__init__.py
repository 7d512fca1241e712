"""Checks of a site before a run starts: can the bucket be written to and read, do the jobs fit the Slurm cluster."""

from connectomake.preflight.profile import Site, read_profile
from connectomake.preflight.slurm import check_slurm, check_slurm_places
from connectomake.storage.check import check_bucket

__all__ = ["Site", "check_bucket", "check_slurm", "check_slurm_places", "read_profile"]
