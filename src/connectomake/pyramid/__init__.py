"""Pyramids: coarser scales of a layer, block by block, and its thumbnail."""

from connectomake.pyramid.block import downsample, write_parent
from connectomake.pyramid.scales import child_box, scales_of
from connectomake.pyramid.thumbnail import write_thumbnail

__all__ = ["child_box", "downsample", "scales_of", "write_parent", "write_thumbnail"]
