"""Damaged bytes before native decoders: the same values, or one of our errors that names the file; never a signal."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import deflate
import numpy as np
import pytest

from connectomake.errors import LayerError
from connectomake.geometry import Box
from connectomake.layers import LayerSpec, read_block, write_block
from connectomake.layers.precomputed import decode_chunk
from connectomake.layers.segmentation_codec import check, decode_part, encode
from connectomake.layers.shard_file import compress, decompress
from tests.tiny_run import CONFIG, make_run, write_inputs

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = CONFIG | {
    "skeletons": {"enabled": True, "cell": [9, 16, 13], "halo": 50, "const": 40, "min_voxels": 10},
    "keep": [*CONFIG["keep"], "traces"],
}
FILES, ENCODINGS = 28, 240


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What the child process said of each mutation: kind, mutation, seed and outcome."""
    folder = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder, SMALL, (14, 16, 24))
        make_run(SMALL)
    (folder / "config.json").write_text(json.dumps(SMALL))
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz_stored", str(FILES), str(ENCODINGS)]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert done.returncode == 0, f"{said[-1:]} {done.stderr}"
    return [(*json.loads(case + "]"), json.loads(found)) for case, found in (line.rsplit("] ", 1) for line in said)]


def test_no_damaged_file_is_read_as_other_values(lines):
    of_files = lines[: -4 * ENCODINGS]
    assert {found for *_, found in of_files} == {"same", "error"}, [
        line for line in of_files if line[3] not in ("same", "error")
    ]
    kinds = Counter((kind, found) for kind, _, _, found in of_files)
    assert all(kinds[kind, "error"] > FILES / 4 for kind in {kind for kind, *_ in of_files}), kinds
    assert len({kind for kind, *_ in of_files}) == 17


def test_no_damaged_encoding_leads_out_of_its_bytes(lines):
    found = Counter((kind, found) for kind, _, _, found in lines[-4 * ENCODINGS :])
    for kind in ("decoded", "relabelled", "part"):
        assert found[kind, "values"]
        assert found[kind, "error"]


@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
def test_four_zero_bytes_at_the_end_of_a_storage_chunk(encoding, tmp_path):
    """libdeflate takes them for a length of nothing, and returns that without having looked at the checksum."""
    side = (8, 8, 8)
    spec = LayerSpec("seg", "uint64", 1, Box((0, 0, 0), side), side, side, (1, 1, 1), "segmentation", encoding)
    path = tmp_path / "0.shard"
    write_block(path, spec, 0, np.arange(512, dtype=np.uint64).reshape(8, 8, 8))
    data = bytearray(path.read_bytes())
    second = data.find(b"\x1f\x8b", data.find(b"\x1f\x8b") + 1)
    data[second - 4 : second] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(LayerError, match=r"0\.shard"):
        read_block(path, spec, 0)


def test_sizes_that_compressed_bytes_cannot_have():
    whole = compress(b"voxels" * 100, 1)
    assert decompress(whole, 600) == b"voxels" * 100
    for last in (bytes(4), b"\xff" * 4, (599).to_bytes(4, "little")):
        with pytest.raises(ValueError, match=r"claim to be|[Dd]ecompress"):
            decompress(whole[:-4] + last)
    with pytest.raises(ValueError, match="claim to be 600"):
        decompress(whole, 599)
    for short in (b"", whole[:10], deflate.gzip_compress(b"", 1)):
        with pytest.raises(ValueError, match="claim to be 0"):
            decompress(short)


def words(*values):
    return np.array(values, "<u4").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x01\0\0", words(1), words(2, 2, 5), words(1, 2, 4), words(9, 2, 4, 0, 0), words(1, 1 << 24 | 9999, 2, 0, 0),
        words(1, 1 << 24 | 2, 4000000000, 0, 0), words(1, 3 << 24 | 2, 2, *[0] * 99), words(1, 32 << 24 | 2, 2, *[0] * 999),
        words(1, 1 << 24 | 18, 2, *[0xFFFFFFFF] * 16, 5, 0), words(1, 3, 2, 7),
    ],
)  # fmt: skip
def test_encodings_that_point_elsewhere(data):
    for decode in (
        lambda: check(data, (1, 8, 8, 8), 8),
        lambda: decode_part(data, (8, 8, 8), (1, 8, 8)),
        lambda: decode_chunk(data, "compressed_segmentation", np.dtype("<u8"), (1, 8, 8, 8)),
    ):
        with pytest.raises((ValueError, LayerError)):
            decode()


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("shape", [(1, 8, 8, 8), (2, 9, 7, 17), (1, 1, 1, 1)])
def test_what_is_written_is_sound(shape, dtype):
    rng = np.random.default_rng(3)
    for highest in (1, 2, 300, 2**31):
        data = encode(rng.integers(0, highest, shape).astype(dtype))
        check(data, shape, np.dtype(dtype).itemsize)
