"""Doubts as a file for a table, or as a folder for Neuroglancer."""

import csv
import io
from pathlib import Path

import numpy as np

from connectomake.atomic import atomic_path, write_text
from connectomake.errors import ConfigError
from connectomake.exporting import whole
from connectomake.planning.plan import Plan
from connectomake.proofreading.annotations import write_points
from connectomake.proofreading.doubts import MERGE, SPLIT, Doubts

SUFFIXES = (".csv", ".parquet", ".arrow", ".annotations")


def check_destination(path: str, overwrite: bool) -> Path:
    """Return where doubts are written.

    Raises
    ------
    ConfigError
        If the suffix is not known, or something is there already.
    """
    if "://" in path:
        raise ConfigError(f"{path} is no local path; write to a local file and copy it there")
    final = Path(path)
    if final.suffix not in SUFFIXES:
        raise ConfigError(f"{path} ends in none of {', '.join(SUFFIXES)}, which say how doubts are written; name it so")
    if final.exists() and not overwrite:
        raise ConfigError(f"{path} exists; name another file, or replace it with --overwrite")
    return final


def write_doubts(doubts: Doubts, plan: Plan, final: Path) -> None:
    """Write doubts in the format of the suffix; equal doubts give equal bytes, and what is there is whole or absent."""
    if final.suffix == ".annotations":
        with whole(final) as temporary:
            _annotations(doubts, plan, temporary)
    elif final.suffix == ".csv":
        write_text(final, csv_text(doubts))
    else:
        _arrow(doubts, final)


def csv_text(doubts: Doubts) -> str:
    """Return doubts as a table with a row of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = doubts.named()
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()


def _arrow(doubts: Doubts, final: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array(c.tolist(), pa.string()) if c.dtype.kind == "U" else c for name, c in doubts.named().items()}
    table = pa.table(columns)
    with atomic_path(final) as temporary:
        if final.suffix == ".parquet":
            pq.write_table(table, temporary)
        else:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)


def _annotations(doubts: Doubts, plan: Plan, folder: Path) -> None:
    places = np.stack([doubts.z_nm, doubts.y_nm, doubts.x_nm], axis=-1) / np.array(plan.source.voxel_size, np.float64)
    kinds = (MERGE, SPLIT)
    properties = {
        "rank": (np.arange(1, len(doubts) + 1, dtype=np.uint32), "1 is the greatest doubt"),
        "doubt": (doubts.doubt.astype(np.float32), "what the rank is from"),
        "affinity": (doubts.affinity.astype(np.float32), "mean of the contact"),
        "faces": (
            np.minimum(doubts.faces, np.iinfo(np.uint32).max).astype(np.uint32),
            "area of the contact in faces of voxels",
        ),
        "voxels": (doubts.voxels.astype(np.float32), "of the smaller side"),
        "kind": (np.array([kinds.index(k) for k in doubts.kind.tolist()], np.uint8), "a merge or a split that is in doubt"),
    }
    objects = [sorted({a, b}) for a, b in zip(doubts.object_a.tolist(), doubts.object_b.tolist(), strict=True)]
    write_points(folder, places, plan.roi, plan.source.voxel_size, properties, {"kind": kinds}, objects)
