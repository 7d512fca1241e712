"""A table that joins given labels: which segment each supervoxel belongs to; read from files of others, sorted, looked up."""

from connectomake.segment_table.lookup import Joined, segments_of
from connectomake.segment_table.reading import most_rows, rows_of
from connectomake.segment_table.sorting import sorted_table, write_table

__all__ = ["Joined", "most_rows", "rows_of", "segments_of", "sorted_table", "write_table"]
