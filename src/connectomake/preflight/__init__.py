"""Where a run is to happen, asked before it starts: does the bucket take and give objects, do jobs fit this Slurm."""

from connectomake.preflight.profile import Site, read_profile
from connectomake.preflight.slurm import check_slurm, check_slurm_places
from connectomake.storage.check import check_bucket

__all__ = ["Site", "check_bucket", "check_slurm", "check_slurm_places", "read_profile"]
