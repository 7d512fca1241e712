"""Input that was made to do harm, or is absurd: one sentence, an exit code, and little time and memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml

from connectomake.bounded_text import MOST_DEPTH, MOST_VALUES, TooLargeError, check_amount, check_yaml, read_json
from connectomake.config import check_plain, load_config
from connectomake.errors import ConfigError, ConnectomakeError, LayerError, SourceError
from connectomake.geometry import BlockGrid, Box
from connectomake.objects import matching
from connectomake.pipeline.checks import properties
from connectomake.preflight.profile import read_profile
from connectomake.sources import open_source
from connectomake.train_from_config import load_training
from connectomake.viewing.ranges import parse_range
from tests.tiny_run import CONFIG, write_inputs

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
TEXTS = {
    "a bomb of aliases": (BOMB, "stands for more than 100,000 values"),
    "many brackets": ("outdir: " + "[" * 20_000 + "]" * 20_000, "nested more than 50 levels"),
    "many blocks": ("".join(" " * i + f"a{i}:\n" for i in range(300)), "nested more than 50 levels"),
    "an alias of itself": ("outdir: &a [*a]", r"\*a contains itself"),
    "a long text": ("# " + "x" * 5_000_000, "larger than 4 MB"),
    "many values": ("ids: [" + "1, " * 150_000 + "1]", "more than 100,000 values"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_yaml_beyond_bounds(name: str, tmp_path: Path) -> None:
    text, reason = TEXTS[name]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    started = time.process_time()
    for read in (load_config, load_training, read_profile):
        with pytest.raises(ConfigError, match=reason) as caught:
            read(str(path))
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 300
    assert time.process_time() - started < 20


def test_aliases_that_are_few_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\nc: {d: *a, e: &e x, f: *e}\n")
    assert load_config(path) == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2], "e": "x", "f": "x"}}
    check_yaml("a: &a [" + "1, " * (MOST_VALUES // 2 - 5) + "1]\nb: *a")
    with pytest.raises(TooLargeError):
        check_yaml("a: &a [" + "1, " * (MOST_VALUES // 2) + "1]\nb: *a")


def test_values_that_snakemake_made_of_a_bomb() -> None:
    """Of a config that Snakemake has read: the values are shared, and nobody may walk through them."""
    value: Any = ["x"] * 9
    for _ in range(12):
        value = [value] * 9
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        check_plain({"outdir": value})
    value = []
    value.append(value)
    with pytest.raises(ConfigError, match="nested more than 50 levels"):
        check_plain({"outdir": value})
    check_amount([[]] * 10)
    deep: list[Any] = []
    for _ in range(MOST_DEPTH - 1):
        deep = [deep]
    check_amount(deep)


def test_json_of_many_brackets(tmp_path: Path) -> None:
    text = "[" * 20_000 + "]" * 20_000
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(text)
    (tmp_path / "info").write_text(text)
    with pytest.raises(LayerError, match=r"info is not JSON; delete it and rerun"):
        properties(str(tmp_path / "info"))
    with pytest.raises(SourceError, match=r"info of .* is not JSON \(it is nested too deeply\)"):
        open_source(f"precomputed://{tmp_path}")


INFO: dict[str, Any] = {
    "type": "image", "data_type": "uint8", "num_channels": 1,
    "scales": [
        {"key": "1", "size": [8, 8, 8], "voxel_offset": [0, 0, 0], "resolution": [4, 4, 40], "chunk_sizes": [[8, 8, 8]],
         "encoding": "raw"}
    ],
}  # fmt: skip
SCALE = {
    "two sizes": ("size", [8, 8], "size"), "no size": ("size", None, "size"), "texts": ("size", ["8", "8", "8"], "size"),
    "a string": ("size", "888", "size"), "negative": ("size", [8, -8, 8], "size"), "fractions": ("size", [8.5, 8, 8], "size"),
    "truths": ("size", [True, True, True], "size"), "endless": ("size", [10**400, 8, 8], "size"),
    "two offsets": ("voxel_offset", [0, 0], "voxel_offset"), "offsets of text": ("voxel_offset", ["0"] * 3, "voxel_offset"),
    "two resolutions": ("resolution", [4, 4], "resolution"), "resolution of text": ("resolution", ["4", "a", "4"], ""),
    "no chunks": ("chunk_sizes", [], "chunk_sizes"), "chunks of 0": ("chunk_sizes", [[8, 0, 8]], "chunk_sizes"),
    "chunks of two": ("chunk_sizes", [[8, 8]], "chunk_sizes"), "one chunk": ("chunk_sizes", [8, 8, 8], "chunk_sizes"),
    "a number as key": ("key", 1, "key"), "no encoding": ("encoding", None, "encoding"),
    "sharding of text": ("sharding", "none", "sharding"), "sharding of nothing": ("sharding", {"a": 1}, ""),
}  # fmt: skip
LAYER: Any = {
    "no dtype": ("data_type", None), "dtype of number": ("data_type", 8), "channels of text": ("num_channels", "1"),
    "no channels": ("num_channels", 0), "endless channels": ("num_channels", 10**30), "scales of text": ("scales", "1"),
    "no scales": ("scales", []), "scales of numbers": ("scales", [1]), "scales as mapping": ("scales", {"1": {}}),
}  # fmt: skip


def check_refused(folder: Path, info: dict[str, Any], key: str) -> None:
    (folder / "info").write_text(json.dumps(info))
    with pytest.raises(ConnectomakeError) as caught:
        open_source(str(folder))
    text = str(caught.value)
    assert key in text
    assert str(folder) in text
    assert "\n" not in text
    assert len(text) < 700


def test_an_info_that_is_right(tmp_path: Path) -> None:
    (tmp_path / "info").write_text(json.dumps(INFO))
    assert open_source(str(tmp_path)).bounds == Box((0, 0, 0), (8, 8, 8))


@pytest.mark.parametrize("name", SCALE)
def test_an_info_with_a_wrong_scale(name: str, tmp_path: Path) -> None:
    key, value, named = SCALE[name]
    check_refused(tmp_path, INFO | {"scales": [INFO["scales"][0] | {key: value}]}, named)


@pytest.mark.parametrize("name", LAYER)
def test_an_info_of_a_wrong_layer(name: str, tmp_path: Path) -> None:
    key, value = LAYER[name]
    check_refused(tmp_path, INFO | {key: value}, key)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_of_chunks_that_fill_the_memory(zarr_format: Literal[2, 3], tmp_path: Path) -> None:
    import zarr

    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(10, 10, 10), chunks=(2000, 2000, 2000), dtype="u1", zarr_format=zarr_format
    )
    array.attrs["resolution_nm"] = [40, 4, 4]
    with pytest.raises(SourceError, match=r"a\.zarr is stored in chunks of \[2000, 2000, 2000\], 8\.0 GB each, .* 64 x 64"):
        open_source(str(tmp_path / "a.zarr"))


def test_zarr_in_large_shards_of_small_chunks_is_read(tmp_path: Path) -> None:
    import zarr

    zarr.create_array(str(tmp_path / "a.zarr"), shape=(10, 10, 10), chunks=(8, 8, 8), shards=(2048, 2048, 2048), dtype="u1")
    assert open_source(str(tmp_path / "a.zarr"), voxel_size=(1, 1, 1)).bounds.shape == (10, 10, 10)


def test_precomputed_of_chunks_that_fill_the_memory(tmp_path: Path) -> None:
    scale = INFO["scales"][0] | {"size": [3000] * 3, "chunk_sizes": [[3000] * 3]}
    check_refused(tmp_path, INFO | {"scales": [scale]}, "27.0 GB each")
    (tmp_path / "info").write_text(json.dumps(INFO | {"scales": [INFO["scales"][0] | {"chunk_sizes": [[3000] * 3]}]}))
    assert open_source(str(tmp_path)).channels == 1  # chunks are cut off at the layer's end


GRID = BlockGrid(Box((0, 0, 0), (10_000, 10_000, 10_000)), (1, 1, 1))


def test_blocks_beyond_count() -> None:
    with pytest.raises(ConfigError, match=r"into 1,000,000,000,000, .* take a block of \[128, 128, 128\] or so"):
        _ = GRID.ids
    assert BlockGrid(GRID.roi, (128, 128, 128)).count <= 1 << 20
    line = BlockGrid(Box((0, 0, 0), (1, 1, 1 << 40)), (1, 1, 1))
    for look in (lambda: line.ids, lambda: line.id_at((0, 0, 0)), line.check_count):
        with pytest.raises(ConfigError, match="take a block"):
            look()


COMMANDS = [
    (["verify"], "blocks of one voxel"), (["check"], "blocks of one voxel"), (["where", "0", "0", "0"], "blocks of one voxel"),
    (["verify"], "a source of 10^30 voxels"), (["plan"], "a source of 10^30 voxels"), (["progress"], "a bomb"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "kind"), COMMANDS)
def test_commands_end_with_one_sentence(command: list[str], kind: str, tmp_path: Path) -> None:
    """In 60 s of CPU at most."""
    write_inputs(tmp_path, shape=(8, 8, 8))
    config = CONFIG | {"evaluation": None, "pyramid": {"scales": 0}, "meshes": {"enabled": False}}
    if kind != "a bomb":
        size = [10_000] * 3 if kind == "blocks of one voxel" else [10**10] * 3
        folder = tmp_path / "layer"
        folder.mkdir()
        (folder / "info").write_text(
            json.dumps(INFO | {"scales": [INFO["scales"][0] | {"size": size, "chunk_sizes": [[64] * 3]}]})
        )
        config = config | {"source": {"path": "layer"}, "block": [1, 1, 1], "chunk": [1, 1, 1]}
    (tmp_path / "config.yaml").write_text(BOMB if kind == "a bomb" else yaml.safe_dump(config))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (60, 60)); "
        "from connectomake.cli import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "config.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    said = done.stderr.strip()
    assert "Traceback" not in said
    if command[0] == "where" and kind == "blocks of one voxel":
        return  # which lists no blocks
    assert done.returncode not in (0, -9, -24), (done.stdout, said)
    assert len(said.splitlines()) == 1, said


QUERIES = {
    "brackets": ("(" * 1500 + "id > 1" + ")" * 1500, "1000 words"),
    "few brackets": ("(" * 99 + "id > 1" + ")" * 99, "50 levels"),
    "negations": ("not " * 400 + "id > 1", "50 levels"), "digits": ("id > " + "5" * 5000, "longer than 40 characters"),
    "conditions": (" and ".join(["id > 1"] * 2000), "1000 words"),
    "a long name": ("x" * 5000 + " > 1", "longer than 40 characters"),
    "rubbish": ("id > 1 " + "é" * 5000, "cannot be read"),
}  # fmt: skip
COLUMNS = {"id": np.arange(5, dtype=np.uint64), "voxels": np.arange(5), "area": np.arange(5.0)}


@pytest.mark.parametrize("name", QUERIES)
def test_queries_beyond_bounds(name: str) -> None:
    text, reason = QUERIES[name]
    with pytest.raises(ConfigError, match=reason) as caught:
        matching(COLUMNS, text)
    assert len(str(caught.value)) < 500


def test_queries_within_bounds() -> None:
    assert matching(COLUMNS, " and ".join(["id >= 1"] * 249)).sum() == 4
    assert matching(COLUMNS, "(" * 49 + "id > 1" + ")" * 49).sum() == 3
    for column in COLUMNS:
        assert matching(COLUMNS, f"{column} < {'9' * 39}").all()
        assert matching(COLUMNS, f"{column} > -{'9' * 39}").all()
        assert not matching(COLUMNS, f"{column} > 1e400").any()


@pytest.mark.parametrize(
    ("header", "range_"),
    [
        ("bytes=0-" + "9" * 4300, (0, 10)), ("bytes=-" + "9" * 5000, (0, 10)), ("bytes=3-" + "9" * 5000, (3, 10)),
        ("bytes=" + "9" * 5000 + "-5", None), ("bytes=-" + "0" * 5000, (0, 10)),
    ],
)  # fmt: skip
def test_ranges_of_many_digits(header: str, range_: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == range_


def test_a_range_that_begins_beyond_the_end() -> None:
    for header in ("bytes=" + "9" * 4301 + "-" + "9" * 4302, "bytes=" + "9" * 4301 + "-"):
        found = parse_range(header, 10)
        assert found is not None
        assert found[0] >= found[1]
