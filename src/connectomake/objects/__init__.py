"""The table of whole objects: as Parquet and as Neuroglancer segment properties."""

from connectomake.objects.properties import segment_properties, write_segment_properties
from connectomake.objects.table import centroids, collect, collect_measures, read_parquet, sizes, write_parquet

__all__ = [
    "centroids", "collect", "collect_measures", "read_parquet", "segment_properties", "sizes", "write_parquet",
    "write_segment_properties",
]  # fmt: skip
