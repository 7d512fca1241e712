"""Segmentation of one block: local labels through the look-up table that the merge made."""

from connectomake.segmentation.interior import blank_interior, interior_of_objects
from connectomake.segmentation.remap import blank_halo, halo_planes, remap, remap_chunks

__all__ = ["blank_halo", "blank_interior", "halo_planes", "interior_of_objects", "remap", "remap_chunks"]
