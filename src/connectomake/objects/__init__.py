"""The table of whole objects: as Parquet and as Neuroglancer segment properties."""

from connectomake.objects.properties import segment_properties, write_segment_properties
from connectomake.objects.query import check_query, matching, select
from connectomake.objects.table import (
    centroids,
    collect,
    collect_interiors,
    collect_lengths,
    collect_measures,
    read_parquet,
    sizes,
    write_parquet,
)

__all__ = [
    "centroids", "check_query", "collect", "collect_interiors", "collect_lengths", "collect_measures", "matching",
    "read_parquet", "segment_properties", "select", "sizes", "write_parquet", "write_segment_properties",
]  # fmt: skip
