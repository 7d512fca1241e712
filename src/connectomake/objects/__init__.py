"""The table of whole objects: as Parquet and as Neuroglancer segment properties."""

from connectomake.objects.lookup import Overview, overview, rows_of
from connectomake.objects.properties import segment_properties, write_segment_properties
from connectomake.objects.query import check_query, matching, select, select_from
from connectomake.objects.stream import ObjectFiles, ObjectStream, write_objects
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
    "ObjectFiles", "ObjectStream", "Overview", "centroids", "check_query", "collect", "collect_interiors", "collect_lengths",
    "collect_measures", "matching", "overview", "read_parquet", "rows_of", "segment_properties", "select", "select_from",
    "sizes", "write_objects", "write_parquet", "write_segment_properties",
]  # fmt: skip
