"""Skeletons: centre lines per (object, cell), joined across cells, and the shards that Neuroglancer reads."""
