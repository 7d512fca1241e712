"""Segmentation of one block: local labels through the look-up table that the merge made."""

from connectomake.segmentation.interior import interior_of_objects
from connectomake.segmentation.remap import halo_planes, remap, remap_chunks

__all__ = ["halo_planes", "interior_of_objects", "remap", "remap_chunks"]
