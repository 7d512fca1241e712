"""Contacts between the objects of a segmentation, and synapses from clefts and cells: exact sums, tile by tile."""
