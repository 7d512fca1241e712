"""Meshes of chosen objects: read back, written in other formats, chosen by a query."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from connectomake.errors import ConfigError, LayerError
from connectomake.geometry import Box
from connectomake.meshes import MeshSpec
from connectomake.meshes.export import export_mesh
from connectomake.meshes.reading import MeshReader
from connectomake.objects import matching, select
from tests.test_meshes import ball, build, load, open_edges, signed_volume

SIZE, START, NAME = (9.0, 5.0, 3.0), (-50, 7, -3), 2**33 + 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MeshSpec, np.ndarray]:
    root = tmp_path_factory.mktemp("run")
    volume = ball((40, 44, 48), (19, 22, 21), 16) * np.uint64(NAME)
    volume[0, 0, :3] = 7
    spec = MeshSpec(Box.of_shape(volume.shape, START), (16, 16, 16), SIZE, 16, 100, 5.0, 3)
    build(root, volume, START, (32, 16, 32), (16, 8, 16), spec)
    return root, spec, volume


@pytest.mark.parametrize("lod", [0, 2])
@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "glb"])
def test_trimesh_reads_a_closed_mesh(run: tuple[Path, MeshSpec, np.ndarray], tmp_path: Path, kind: str, lod: int) -> None:
    root, spec, volume = run
    (path,) = export_mesh(MeshReader(root / "mesh", spec), NAME, tmp_path, kind, lod)
    found = trimesh.load(path, force="mesh")
    assert isinstance(found, trimesh.Trimesh)
    found.merge_vertices()
    want = load(root, [NAME], lod)[NAME]
    assert found.is_watertight
    assert len(found.faces) == len(want.faces)
    assert found.volume == pytest.approx(signed_volume(want.vertices, want.faces), rel=1e-4)
    assert found.volume == pytest.approx((volume == NAME).sum() * np.prod(SIZE), rel=0.06 if not lod else 0.2)
    np.testing.assert_allclose(found.bounds, [want.vertices.min(axis=0), want.vertices.max(axis=0)], atol=1e-2)


def test_cloud_volume_reads_the_legacy_format(run: tuple[Path, MeshSpec, np.ndarray], tmp_path: Path) -> None:
    from cloudvolume import CloudVolume

    root, spec, _ = run
    written = export_mesh(MeshReader(root / "mesh", spec), NAME, tmp_path / "mesh", "legacy")
    manifest = json.loads((tmp_path / "mesh" / f"{NAME}:0").read_text())
    assert len(manifest["fragments"]) == len(written) - 2 > 1
    info = json.loads((root / "info").read_text())
    (tmp_path / "info").write_text(json.dumps(info))
    volume = CloudVolume(f"file://{tmp_path}", use_https=False, progress=False, cache=False)
    found = volume.mesh.get(NAME)
    want = load(root, [NAME])[NAME]
    assert len(found.faces) == len(want.faces)
    assert open_edges(found, 2) == 0
    assert signed_volume(found.vertices, found.faces) == pytest.approx(signed_volume(want.vertices, want.faces), rel=1e-4)


def test_errors_name_the_object(run: tuple[Path, MeshSpec, np.ndarray], tmp_path: Path) -> None:
    root, spec, _ = run
    reader = MeshReader(root / "mesh", spec)
    with pytest.raises(ConfigError, match="object 99 has no mesh"):
        export_mesh(reader, 99, tmp_path, "obj")
    with pytest.raises(ConfigError, match="levels of detail 0 to 2, not 3"):
        export_mesh(reader, NAME, tmp_path, "obj", 3)
    with pytest.raises(ConfigError, match="no mesh format 'fbx'"):
        export_mesh(reader, NAME, tmp_path, "fbx")
    with pytest.raises(LayerError, match=r"0\.shard is missing"):
        export_mesh(MeshReader(tmp_path, spec), NAME, tmp_path, "obj")
    assert not list(tmp_path.iterdir())


COLUMNS = {
    "id": np.array([3, 9, 12], np.uint64),
    "voxels": np.array([10, 2000, 300], np.uint64),
    "start_z": np.array([-4, 0, 5]),
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("voxels > 1e2", [9, 12]),
        ("1e2 < voxels", [9, 12]),
        ("voxels >= 300 and voxels != 2000", [12]),
        ("voxels > 1000 or start_z < -3", [3, 9]),
        ("id == 3 or voxels > 100 and start_z > 0", [3, 12]),
        ("(id == 3 or voxels > 100) and start_z > 0", [12]),
        ("not (id == 3)", [9, 12]),
        ("start_z<=-4", [3]),
    ],
)
def test_queries(text: str, want: list[int]) -> None:
    assert COLUMNS["id"][matching(COLUMNS, text)].tolist() == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size > 3", "no column size; there are id, voxels, start_z"),
        ("voxels >", "'voxels >' is not a comparison"),
        ("voxels > start_z", "does not compare a column with a number"),
        ("(voxels > 3", "not closed"),
        ("voxels > 3 3", "'3' is one too many"),
        ("__import__('os')", "cannot be read|is not a comparison"),
        ("", "is not a comparison"),
    ],
)
def test_wrong_queries(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        matching(COLUMNS, text)


def test_selection() -> None:
    wanted = {"ids": None, "min_voxels": 0, "max_voxels": None, "query": None}
    assert select(COLUMNS, wanted).tolist() == [3, 9, 12]
    assert select(COLUMNS, wanted | {"min_voxels": 11, "max_voxels": 300}).tolist() == [12]
    assert select(COLUMNS, wanted | {"ids": [9, 3, 9], "query": "voxels < 100"}).tolist() == [3]
    with pytest.raises(ConfigError, match="object 4 and 1 more does not exist; the object table lists 3 ids"):
        select(COLUMNS, wanted | {"ids": [3, 4, 5]})
