"""Damaged bytes before native decoders: the same values, or one of our errors that names the file; never a signal."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
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
from connectomake.sources import decoder as decoder_module
from connectomake.sources.decoder import Decoder
from tests.fuzz_stored import MUTATIONS
from tests.tiny_run import CONFIG, make_run, write_inputs

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = CONFIG | {
    "skeletons": {"enabled": True, "cell": [9, 16, 13], "halo": 50, "const": 40, "min_voxels": 10},
    "keep": [*CONFIG["keep"], "traces"],
}
FILES, ENCODINGS = 28, 240


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, int, str]]:
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


@pytest.mark.slow
def test_no_damaged_file_is_read_as_other_values(lines: list[tuple[str, str, int, str]]) -> None:
    of_files = lines[: -4 * ENCODINGS]
    assert {found for *_, found in of_files} == {"same", "error"}, [
        line for line in of_files if line[3] not in ("same", "error")
    ]
    kinds = Counter((kind, found) for kind, _, _, found in of_files)
    assert all(kinds[kind, "error"] > FILES / 4 for kind in {kind for kind, *_ in of_files}), kinds
    assert len({kind for kind, *_ in of_files}) == 17


@pytest.mark.slow
def test_no_damaged_encoding_leads_out_of_its_bytes(lines: list[tuple[str, str, int, str]]) -> None:
    found = Counter((kind, found) for kind, _, _, found in lines[-4 * ENCODINGS :])
    for kind in ("decoded", "relabelled", "part"):
        assert found[kind, "values"]
        assert found[kind, "error"]


@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
def test_four_zero_bytes_at_the_end_of_a_storage_chunk(encoding: str, tmp_path: Path) -> None:
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


def test_sizes_that_compressed_bytes_cannot_have() -> None:
    whole = compress(b"voxels" * 100, 1)
    assert decompress(whole, 600) == b"voxels" * 100
    for last in (bytes(4), b"\xff" * 4, (599).to_bytes(4, "little")):
        with pytest.raises(ValueError, match=r"claim to be|[Dd]ecompress"):
            decompress(whole[:-4] + last)
    with pytest.raises(ValueError, match="claim to be 600"):
        decompress(whole, 599)
    for short in (b"", whole[:10], deflate.gzip_compress(b"", 1)):
        with pytest.raises(ValueError, match="claim to be 0"):
            decompress(bytes(short))


def words(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x01\0\0", words(1), words(2, 2, 5), words(1, 2, 4), words(9, 2, 4, 0, 0), words(1, 1 << 24 | 9999, 2, 0, 0),
        words(1, 1 << 24 | 2, 4000000000, 0, 0), words(1, 3 << 24 | 2, 2, *[0] * 99), words(1, 32 << 24 | 2, 2, *[0] * 999),
        words(1, 1 << 24 | 18, 2, *[0xFFFFFFFF] * 16, 5, 0), words(1, 3, 2, 7),
    ],
)  # fmt: skip
def test_encodings_that_point_elsewhere(data: bytes) -> None:
    for decode in (
        lambda: check(data, (1, 8, 8, 8), 8),
        lambda: decode_part(data, (8, 8, 8), (1, 8, 8)),
        lambda: decode_chunk(data, "compressed_segmentation", np.dtype("<u8"), (1, 8, 8, 8)),
    ):
        with pytest.raises((ValueError, LayerError)):
            decode()


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("shape", [(1, 8, 8, 8), (2, 9, 7, 17), (1, 1, 1, 1)])
def test_what_is_written_is_sound(shape: tuple[int, int, int, int], dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(3)
    for highest in (1, 2, 300, 2**31):
        data = encode(rng.integers(0, highest, shape).astype(dtype))
        check(data, shape, np.dtype(dtype).itemsize)


def encoded_elsewhere() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """A chunk in each encoding of other programs that is decoded apart: bytes, shape, dtype, values."""
    import compresso
    import crackle
    import fpzip

    labels = np.asfortranarray(np.arange(16**3, dtype=np.uint32).reshape(16, 16, 16) // 300)
    noise = np.asfortranarray(np.random.default_rng(0).random((16, 16, 16, 1), np.float32))
    yield "crackle", bytes(crackle.compress(labels)), labels[..., None]
    yield "compresso", bytes(compresso.compress(labels)), labels[..., None]
    yield "fpzip", bytes(fpzip.compress(noise, order="F")), noise


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "whole", "values"), [*encoded_elsewhere()], ids=lambda v: v if isinstance(v, str) else "")
def test_decoders_that_trust_their_input_run_apart(encoding: str, whole: bytes, values: np.ndarray) -> None:
    """Of 600 damaged chunks 3, 16 and 30 end the process that decodes them; it must not be this one."""
    decoder, refused = Decoder(), 0
    for seed in range(18):
        data = bytearray(whole)
        MUTATIONS[seed % 3](data, np.random.default_rng(seed))
        del data[len(data) * (20 - seed // 3) // 20 :]
        try:
            found = decoder.decode(bytes(data), encoding, values.shape, values.dtype)
            assert (found.shape, found.dtype) == (values.shape, values.dtype)
        except ValueError:
            refused += 1
    assert refused
    assert np.array_equal(decoder.decode(whole, encoding, values.shape, values.dtype), values)
    assert decoder._process is not None
    decoder._process.kill()
    decoder._process.wait()
    assert np.array_equal(decoder.decode(whole, encoding, values.shape, values.dtype), values)
    with pytest.raises(ValueError, match=r"voxels of|its shape is"):
        decoder.decode(whole, encoding, (8, 8, 8, 1), values.dtype)


def test_a_decoder_that_ends_by_a_signal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder()

    def killed(*_: object) -> None:
        assert decoder._process is not None
        decoder._process.kill()

    monkeypatch.setattr(decoder_module, "_send", killed)
    with pytest.raises(ValueError, match="its decoder ended by signal SIGKILL"):
        decoder.decode(b"", "crackle", (1, 1, 1, 1), np.dtype("u1"))
