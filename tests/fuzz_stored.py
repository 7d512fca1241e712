"""Reads mutated files of the run in the working directory, as its jobs and commands read them; one line of JSON for each.

A line says what is about to be read before it is read: where a signal ends this process, the last line names the case.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomake.errors import ConnectomakeError
from connectomake.layers import LayerSpec, ShardReader, read_columns, read_tables
from connectomake.layers.precomputed import decode_chunk
from connectomake.layers.segmentation_codec import decode_part, encode, relabel
from connectomake.meshes.pack import PackReader
from connectomake.meshes.reading import MeshReader
from connectomake.pipeline.targets import Targets
from connectomake.planning.resolve import resolve
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons
from connectomake.segmentation import remap_chunks
from connectomake.skeletons.reading import SkeletonReader

Reader = Callable[[str], Any]
CHUNK = (9, 16, 13)


def flips(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def zeros(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    stop = min(start + int(rng.integers(1, 65)), len(data))
    data[start:stop] = bytes(stop - start)


def ones(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    stop = min(start + int(rng.integers(1, 9)), len(data))
    data[start:stop] = b"\xff" * (stop - start)


def cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


def lost(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 17))]


def size_of_nothing(data: bytearray, rng: np.random.Generator) -> None:
    """Zero bytes where a gzip stream says how long it is."""
    ends = [i for i in range(8, len(data) - 3) if data[i : i + 2] == b"\x1f\x8b"] or [len(data)]
    end = ends[rng.integers(len(ends))]
    data[end - 4 : end] = bytes(4)


def start_of(data: bytearray, rng: np.random.Generator) -> None:
    """Damage where indices of shards and packs begin."""
    data[int(rng.integers(min(len(data), 96)))] = int(rng.integers(256))


MUTATIONS = (flips, zeros, ones, cut, lost, size_of_nothing, start_of)


def readers() -> Iterator[tuple[str, str, Reader]]:
    """Yield name, file and reader of each kind of file."""
    plan = resolve(json.loads(Path("config.json").read_text()))
    targets, scales, skeletons = Targets(plan), Scales(plan), Skeletons(plan)
    for layer in ("image", "affinity", "components", "segmentation", "ground_truth"):
        spec = plan.layers[layer]
        block = spec.grid.ids[-1]
        yield layer, targets.shard(layer, block), _shard_reader(spec, block)
    spec = scales.specs("image")[1]
    yield "pyramid", scales.shard("image", 1, spec.grid.ids[0]), _shard_reader(spec, spec.grid.ids[0])
    yield "relabelled", targets.shard("components", 0), lambda path: _remapped(plan, path)
    for layer in ("components", "segmentation"):
        yield f"tables of {layer}", targets.tables(layer, 0), read_tables
    yield "merge", targets.merge(1, 0), read_tables
    yield "lookup", targets.lookup(1, 0), read_tables
    yield "traces", skeletons.traces(0, 0), read_tables
    yield "contingency", targets.contingency(0), read_tables
    yield "objects", targets.objects, read_columns
    yield "pack", targets.pack(plan.mesh_tree.top, 0), lambda path: _pieces(path, plan)
    ids = [int(i) for i in read_columns(targets.objects)["id"]]
    yield "meshes", targets.mesh_shard(0), lambda path: _meshes(path, plan, ids)
    lengths = read_tables(skeletons.lengths(0))["id"].tolist()
    yield "skeletons", skeletons.shard(0), lambda path: _skeletons(path, skeletons, lengths)


def _shard_reader(spec: LayerSpec, block: int) -> Reader:
    return lambda path: ShardReader(path, spec, block).read()


class _Encoded:
    """In place of a writer: keeps the chunks."""

    def __init__(self) -> None:
        self.chunks: dict[str, bytes] = {}

    def write_encoded(self, position: Any, data: bytes) -> None:
        self.chunks[str(position)] = data


def _remapped(plan: Any, path: str) -> Any:
    kept = _Encoded()
    reader = ShardReader(path, plan.layers["components"], 0)
    ids = np.arange(1 << 16, dtype=np.uint64) * np.uint64(7)
    return kept.chunks | remap_chunks(reader, kept, plan.layers["segmentation"], 0, ids)  # type: ignore[arg-type]


def _pieces(path: str, plan: Any) -> Any:
    with PackReader(path, plan.mesh_spec.sharding) as reader:
        index = reader.index(0).copy()
        rows = zip(reader.offsets(0).tolist(), index["size"].tolist(), index["checksum"].tolist(), strict=True)
        return [index, *(reader.data(*row) for row in rows)]


def _meshes(path: str, plan: Any, ids: list[int]) -> Any:
    reader = MeshReader(Path(path).parent, plan.mesh_spec)
    return [part for i in ids[:3] for part in reader.mesh(i)]


def _skeletons(path: str, skeletons: Any, ids: list[int]) -> Any:
    reader = SkeletonReader(Path(path).parent, skeletons.spec)
    return [part for s in (reader.read(i) for i in ids) for part in (s.vertices, s.edges, s.radius)]


def digest(value: Any) -> Any:
    """Return nested values in a form that compares."""
    if isinstance(value, dict):
        return {name: digest(part) for name, part in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [digest(part) for part in value]
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def outcome(path: str, read: Reader, expected: Any) -> str:
    """Return ``same``, ``error``, or what must not be."""
    try:
        return "same" if digest(read(path)) == expected else "other values"
    except ConnectomakeError as error:
        return "error" if path in str(error) else f"an error that does not name the file: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def files(count: int) -> None:
    """Mutate each kind of file so many times."""
    for kind, path, read in readers():
        whole = Path(path).read_bytes()
        expected = digest(read(path))
        for seed in range(count):
            data = bytearray(whole)
            mutate = MUTATIONS[seed % len(MUTATIONS)]
            mutate(data, np.random.default_rng([seed, len(kind)]))
            Path(path).write_bytes(data)
            say(kind, mutate.__name__, seed, partial(outcome, path, read, expected))
        Path(path).write_bytes(whole)


def encodings(count: int) -> None:
    """Mutate encoded storage chunks, which hold no checksum: a decoder may return other values, but not leave the bytes."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 90, CHUNK), axis=0)
    both = {dtype: encode(labels[None].astype(dtype)) for dtype in (np.uint32, np.uint64)}
    ids = np.arange(100, dtype=np.uint64)
    for seed in range(count):
        rng, mutate = np.random.default_rng(seed), MUTATIONS[seed % len(MUTATIONS)]
        for dtype, whole in both.items():
            data = bytearray(whole)
            mutate(data, rng)
            if seed % 3 == 0:  # heads alone, where the offsets are
                data = bytearray(whole)
                head = data[: 4 + 8 * 8]
                mutate(head, rng)
                data[: len(head)] = head
            say("decoded", mutate.__name__, seed, partial(_decoded, bytes(data), np.dtype(dtype)))
            if dtype is np.uint32:
                say("relabelled", mutate.__name__, seed, partial(_tried, partial(relabel, bytes(data), CHUNK, ids)))
            else:
                say("part", mutate.__name__, seed, partial(_tried, partial(decode_part, bytes(data), CHUNK, (1, 16, 13))))


def _decoded(data: bytes, dtype: np.dtype) -> str:
    return _tried(lambda: decode_chunk(data, "compressed_segmentation", dtype, (1, *CHUNK)))


def _tried(call: Callable[[], Any]) -> str:
    try:
        call()
    except (ValueError, ConnectomakeError):
        return "error"
    return "values"


def say(kind: str, mutation: str, seed: int, look: Callable[[], str]) -> None:
    print(json.dumps([kind, mutation, seed]), end=" ", flush=True)
    print(json.dumps(look()), flush=True)


if __name__ == "__main__":
    files(int(sys.argv[1]))
    encodings(int(sys.argv[2]))
