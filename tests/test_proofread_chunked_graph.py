"""What PyChunkedGraph's ingest takes of a run: read by its own messages, against plain Python on the whole volume."""

from pathlib import Path
from typing import Any

import cc3d
import h5py
import networkx as nx  # type: ignore[import-untyped]
import numpy as np
import pytest
import yaml
import zstandard
from cloudvolume import CloudVolume
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from connectomake.cli import main
from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Box
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.proofreading import run_graph
from connectomake.proofreading.chunk_ids import Chunks
from connectomake.proofreading.chunk_messages import components_message
from connectomake.proofreading.chunked_graph import write_chunked_graph
from tests.agglomeration_reference import exact
from tests.graph_run import CONFIG, run, whole, write_affinities

CHUNK, BITS = (8, 16, 16), 6
PARTS = {
    "EdgesMsg": ("node_ids1", "node_ids2", "affinities", "areas"),
    "ChunkEdgesMsg": ("in_chunk", "cross_chunk", "between_chunk"),
}


def messages() -> Any:
    """The messages of its folder io/protobuf, of the names and numbers there."""
    file = descriptor_pb2.FileDescriptorProto(name="chunk.proto", package="chunk", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    for name, parts in PARTS.items():
        message = file.message_type.add(name=name)
        for number, part in enumerate(parts, 1):
            if name == "EdgesMsg":
                message.field.add(name=part, number=number, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
            else:
                of = {"type": field.TYPE_MESSAGE, "type_name": ".chunk.EdgesMsg"}
                message.field.add(name=part, number=number, label=field.LABEL_OPTIONAL, **of)
    message = file.message_type.add(name="ChunkComponentsMsg")
    message.field.add(name="components", number=1, type=field.TYPE_UINT64, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("ChunkEdgesMsg", "ChunkComponentsMsg")
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"chunk.{name}")) for name in names]


EDGES, COMPONENTS = messages()


def read_edges(path: Path) -> Any:
    """Edges of a file by kind: {kind: [(u, v, affinity, area)]}; none where there is no file."""
    found = EDGES()
    if path.exists():
        found.ParseFromString(zstandard.ZstdDecompressor().decompress(path.read_bytes()))
    dtypes = ("<u8", "<u8", "<f4", "<u8")
    columns = {
        kind: [
            np.frombuffer(getattr(getattr(found, kind), part), d).tolist()
            for part, d in zip(PARTS["EdgesMsg"], dtypes, strict=True)
        ]
        for kind in PARTS["ChunkEdgesMsg"]
    }
    return {kind: list(zip(*rows, strict=True)) for kind, rows in columns.items()}


def read_components(path: Path) -> list[list[int]]:
    found, parts, at = COMPONENTS(), [], 0
    if path.exists():
        found.ParseFromString(path.read_bytes())
    numbers = list(found.components)
    while at < len(numbers):
        parts.append(numbers[at + 1 : at + 1 + numbers[at]])
        at += 1 + numbers[at]
    return parts


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chunked")
    write_affinities(folder)
    return folder


@pytest.fixture
def plan(place: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(place)
    return resolve(yaml.safe_load(Path("out.yaml").read_text())) if Path("out.yaml").exists() else run()


def cut(basins: Any) -> Any:
    """Parts of supervoxels (z, y, x) from 1 within each chunk, and the place of the chunk (3, z, y, x)."""
    at = np.indices(basins.shape) // np.array(CHUNK).reshape(3, 1, 1, 1)
    flat = np.unique(np.stack([basins.astype(np.int64), *at]).reshape(4, -1), axis=1, return_inverse=True)[1].reshape(
        basins.shape
    )
    return cc3d.connected_components(np.where(basins > 0, flat + 1, 0).astype(np.uint32), connectivity=6), at


def contacts(parts: Any, basins: Any, affinity: Any) -> dict[tuple[int, int], tuple[int, int, bool]]:
    """Sum and number of the voxel edges between each two parts, and whether both are of one supervoxel."""
    found: dict[tuple[int, int], tuple[int, int, bool]] = {}
    for axis in range(3):
        for v in np.ndindex(parts.shape):
            u = tuple(p - (i == axis) for i, p in enumerate(v))
            if v[axis] and parts[u] and parts[v] and parts[u] != parts[v]:
                pair = (min(int(parts[u]), int(parts[v])), max(int(parts[u]), int(parts[v])))
                total, count, _ = found.get(pair, (0, 0, False))
                found[pair] = total + exact(affinity[(axis, *v)]), count + 1, bool(basins[u] == basins[v])
    return found


@pytest.mark.slow
def test_the_files_are_those_of_plain_python(plan: Plan) -> None:
    objects = whole(plan, lambda p, b: run_graph.object_ids(p, b, ""))
    basins = np.where(objects > 0, whole(plan, run_graph.supervoxel_ids), 0)
    with h5py.File("affinities.h5") as file:
        affinity = file["edges"][:]
    with pytest.raises(SystemExit) as ended:
        main(["proofread", "out.yaml", "pcg", "--for", "pychunkedgraph", "--chunk", "8", "16", "16", "--spatial-bits", "6"])
    assert not ended.value.code
    volume = CloudVolume(f"file://{Path('pcg/watershed').absolute()}", progress=False)
    assert volume.bounds.minpt.tolist() == list(plan.roi.start)[::-1]
    ids = np.asarray(volume[:][..., 0]).T
    parts, at = cut(basins)
    names = check_ids(ids, parts, at)
    want = contacts(parts, basins, affinity)
    grown, seen = nx.Graph(), dict.fromkeys(PARTS["ChunkEdgesMsg"], 0)
    for place in np.ndindex(*Chunks(plan.roi, CHUNK, BITS).counts):
        here = "_".join(str(p) for p in place[::-1])
        found = read_edges(Path(f"pcg/edges/edges_{here}.proto.zst"))
        inside = {names[p] for p in np.unique(parts[(at == np.array(place).reshape(3, 1, 1, 1)).all(axis=0)]).tolist() if p}
        check_edges(found, want, names, inside)
        seen = {kind: count + len(found[kind]) for kind, count in seen.items()}
        check_components(read_components(Path(f"pcg/components/components_{here}.proto")), found, inside, ids, objects, grown)
    check_objects(grown, ids, objects)
    assert min(seen.values()) > 100
    config = yaml.safe_load(Path("pcg/ingest.yaml").read_text())
    assert config["graph_config"] == {"CHUNK_SIZE": [16, 16, 8], "FANOUT": 2, "LAYER_ID_BITS": 8, "SPATIAL_BITS": 6}


def check_ids(ids: Any, parts: Any, at: Any) -> dict[int, int]:
    """Ids and parts are one to one, and an id names its chunk as PyChunkedGraph reads it; numbers have no gaps."""
    pairs = np.unique(np.stack([parts.astype(np.uint64).ravel(), ids.ravel()]), axis=1).T.tolist()
    names = dict(pairs)
    assert len(names) == len(pairs) == len({i for _, i in pairs})
    assert names[0] == 0 if 0 in names else True
    numbers: dict[Any, list[int]] = {}
    for part, name in pairs:
        if part:
            z, y, x = (int(p) for p in at[:, parts == part][:, 0])
            offset = 64 - 8
            assert name >> offset == 1
            assert [name >> offset - 6 * i & 63 for i in (1, 2, 3)] == [x, y, z]
            numbers.setdefault((z, y, x), []).append(name & (1 << 38) - 1)
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values())
    return names


def check_edges(found: Any, want: Any, names: dict[int, int], inside: set[int]) -> None:
    expected: dict[str, dict[Any, Any]] = {kind: {} for kind in PARTS["ChunkEdgesMsg"]}
    for (p, q), (total, count, same) in want.items():
        u, v = names[p], names[q]
        if u in inside and v in inside:
            expected["in_chunk"][min(u, v), max(u, v)] = np.float32(total / 255), count
        elif u in inside or v in inside:
            pair = (u, v) if u in inside else (v, u)
            kind = "cross_chunk" if same else "between_chunk"
            expected[kind][pair] = (np.inf, 1) if same else (np.float32(total / 255), count)
    for kind, rows in found.items():
        assert {(u, v): (a, n) for u, v, a, n in rows} == expected[kind]
        assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)


def check_components(parts: Any, edges: Any, inside: set[int], ids: Any, objects: Any, grown: Any) -> None:
    """Components are the supervoxels in the chunk and at the other ends of its edges, by object; grow what ingest joins."""
    named = [i for part in parts for i in part]
    ends = {end for rows in edges.values() for row in rows for end in row[:2]}
    assert sorted(named) == sorted(inside | ends)
    of = {i: int(objects[ids == i][0]) for i in named}
    assert sorted(map(sorted, parts)) == sorted(sorted(i for i in named if of[i] == o) for o in set(of.values()))
    mapping = {i: number for number, part in enumerate(parts) for i in part}
    grown.add_nodes_from(inside)
    for kind, rows in edges.items():
        grown.add_edges_from(row[:2] for row in rows if kind == "cross_chunk" or mapping[row[0]] == mapping[row[1]])


def check_objects(grown: Any, ids: Any, objects: Any) -> None:
    """What is joined by the edges that ingest takes as active are the objects, no more and no less."""
    found = sorted(sorted(part) for part in nx.connected_components(grown))
    want = [sorted(np.unique(ids[objects == o]).tolist()) for o in np.unique(objects) if o]
    assert found == sorted(want)


@pytest.mark.slow
def test_blocks_do_not_matter(plan: Plan) -> None:
    other = run(outdir="other", block=[8, 32, 24])
    for made, name in ((plan, "a"), (other, "b")):
        Path(name).mkdir()
        write_chunked_graph(made, "segmentation_0.5", Path(name), CHUNK, BITS)
    files = sorted(p.relative_to("a") for p in Path("a").rglob("*") if p.is_file())
    assert files == sorted(p.relative_to("b") for p in Path("b").rglob("*") if p.is_file())
    assert len(files) > 40
    for file in files:
        assert (Path("a") / file).read_bytes() == (Path("b") / file).read_bytes(), file


@given(
    st.lists(
        st.lists(st.sampled_from([0, 1, 127, 128, 2**14, 2**56 + 1, 2**63, 2**64 - 1]), min_size=1, max_size=4), max_size=4
    )
)
def test_numbers_of_any_size_are_read_back(parts: list[list[int]]) -> None:
    found = COMPONENTS()
    found.ParseFromString(components_message(parts))
    assert list(found.components) == [n for part in parts for n in (len(part), *part)]
    assert found.SerializeToString() == components_message(parts)


def test_what_does_not_fit_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make 5 of them along an axis, more than 2 bits count"):
        Chunks(Box.of_shape((20, 24, 40)), (8, 8, 8), 2)
    with pytest.raises(ConfigError, match="must be three numbers from 1 on"):
        Chunks(Box.of_shape((20, 24, 40)), (8, 0, 8))
    with pytest.raises(RunError, match="holds 4 supervoxels, more than 2 bits count"):
        Chunks(Box.of_shape((1, 1, 1)), (1, 1, 1), 18).ids((0, 0, 0), np.array([4]))
    segmentation = CONFIG["segmentation"] | {"t_boundary": 0.2}
    with pytest.raises(ConfigError, match=r"t_boundary 0\.2 leaves voxels out"):
        write_chunked_graph(resolve({**plan.config, "segmentation": segmentation}), "segmentation", tmp_path, CHUNK, BITS)
