"""Tables that people take away: each format read back by its own library, equal columns in equal bytes, nothing overwritten."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectomake.errors import ConfigError
from connectomake.table_files import SUFFIXES, check_destination, write_table

COLUMNS = {
    "id": np.array([1, 2**63 + 1], np.uint64),
    "share": np.array([0.1, 1 / 3]),
    "name": np.array(['a, "b"', "µ"]),
}


def read(path: Path) -> dict[str, list[object]]:
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        return {
            "id": [int(row["id"]) for row in rows],
            "share": [float(row["share"]) for row in rows],
            "name": [row["name"] for row in rows],
        }
    if path.suffix == ".parquet":
        return dict(pq.read_table(path).to_pydict())
    with pa.memory_map(str(path)) as source:
        return dict(pa.ipc.open_file(source).read_all().to_pydict())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        write_table(path, COLUMNS)
    assert read(paths[0]) == {name: column.tolist() for name, column in COLUMNS.items()}
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://lab/a.csv", "is not a local path"),
        ("a.txt", "ends in none of .csv, .parquet, .arrow"),
        ("there.csv", "exists; name another file, or replace it with --overwrite"),
    ],
)
def test_a_destination_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").touch()
    with pytest.raises(ConfigError, match=words):
        check_destination(path, overwrite=False)


def test_what_is_there_is_replaced_when_that_is_asked_for(tmp_path: Path) -> None:
    final = tmp_path / "there.csv"
    final.touch()
    assert check_destination(str(final), overwrite=True) == final
