"""The table of whole objects: as Parquet and as Neuroglancer segment properties."""

from connectomake.objects.properties import segment_properties, write_segment_properties
from connectomake.objects.table import centroids, collect, read_parquet, write_parquet

__all__ = ["centroids", "collect", "read_parquet", "segment_properties", "write_parquet", "write_segment_properties"]
