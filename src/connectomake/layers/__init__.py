"""Layers on disk: precomputed shards that are blocks, and the tables beside them."""

from connectomake.layers.columns import read_batches, read_columns, write_batches, write_columns
from connectomake.layers.records import read_record
from connectomake.layers.shard_file import ShardFile
from connectomake.layers.shard_reader import ShardReader, read_block, read_box
from connectomake.layers.shard_writer import ShardWriter, write_block
from connectomake.layers.sidecar import read_tables, table_bytes, write_tables
from connectomake.layers.spec import LayerSpec
from connectomake.layers.spill import ROWS_HELD, KeySample, Spill

__all__ = [
    "ROWS_HELD", "KeySample", "LayerSpec", "ShardFile", "ShardReader", "ShardWriter", "Spill",
    "read_batches", "read_block", "read_box", "read_columns", "read_record", "read_tables", "table_bytes",
    "write_batches", "write_block", "write_columns", "write_tables",
]  # fmt: skip
