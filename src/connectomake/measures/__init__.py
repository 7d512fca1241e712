"""Measures of objects that need their voxels: surface, and a point deep inside."""

from connectomake.measures.blocks import measure_blocks, measure_slab
from connectomake.measures.surface import patch_areas

__all__ = ["measure_blocks", "measure_slab", "patch_areas"]
