"""A thin rod over many blocks: dust is what is small as a whole, never what is small within a block."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zmesh

from connectomake.errors import ConfigError
from connectomake.layers import read_box
from connectomake.meshes.reading import MeshReader
from connectomake.objects import read_parquet
from connectomake.pipeline.targets import Targets
from tests.test_meshes import open_edges, signed_volume
from tests.tiny_run import CONFIG, MODEL, make_run

VOXELS, SIZE = 1260, np.array([20, 10, 10])
EXACT: dict[str, Any] = {"cell": [16, 16, 16], "simplify": {"factor": 1}, "lods": 1}


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A rod of 140 × 3 × 3 voxels, at most 144 of them in any of the ten blocks, and a grain of 27."""
    monkeypatch.chdir(tmp_path)
    found = np.zeros((160, 16, 20), np.uint8)
    found[5:145, 6:9, 7:10], found[70:73, 1:4, 14:17] = 255, 254
    with h5py.File("raw.h5", "w") as file:
        file["raw"] = found
    Path("model.py").write_text(MODEL)
    return found


def run(min_size: Any, **select: Any) -> Any:
    changes = {"segmentation": {"threshold": 0.5, "min_size": min_size}, "meshes": EXACT | {"select": select}}
    return make_run(CONFIG | changes | {"evaluation": None, "pyramid": {"enabled": False}})


def corners_of(points: Any, faces: np.ndarray) -> Any:
    """Triangles as sets of corners, in half voxels."""
    halves = np.rint(2 * points / SIZE).astype(int)
    np.testing.assert_allclose(2 * points / SIZE, halves, atol=0.01)
    return {frozenset(map(tuple, halves[face].tolist())) for face in faces}


@pytest.mark.slow
@pytest.mark.parametrize(("min_size", "select"), [(1, {}), (145, {}), (VOXELS, {}), (1, {"min_voxels": VOXELS})])
def test_a_rod_is_no_dust_and_stays_whole(volume: np.ndarray, min_size: int, select: dict[str, int]) -> None:
    plan = run(min_size, **select)
    assert plan.grid.shape == (10, 1, 2)
    table = read_parquet(Targets(plan).objects)
    rod = 1 + int(np.ravel_multi_index((5, 6, 7), volume.shape))
    assert dict(zip(table["id"].tolist(), table["voxels"].tolist(), strict=True))[rod] == VOXELS
    labels = read_box(f"{plan.outdir}/segmentation", plan.layers["segmentation"], plan.roi)[0]
    np.testing.assert_array_equal(labels == rod, volume == 255)
    points, faces = MeshReader(f"{plan.outdir}/segmentation/mesh", plan.mesh_spec).mesh(rod)
    mesher = zmesh.Mesher((2, 2, 2))
    mesher.mesh(np.pad(volume == 255, 1).astype(np.uint32), close=False)
    whole = mesher.get(1)
    assert corners_of(points, faces) == corners_of((whole.vertices - 1) * SIZE / 2, whole.faces)
    assert open_edges(type("Mesh", (), {"vertices": points, "faces": faces})) == 0
    expected = abs(signed_volume(whole.vertices * SIZE / 2, whole.faces))
    assert abs(signed_volume(points, faces)) == pytest.approx(expected, rel=1e-3)  # 16 bits across a cell


@pytest.mark.slow
def test_one_voxel_more_and_it_is_dust(volume: np.ndarray) -> None:
    plan = run(VOXELS + 1)
    assert not len(read_parquet(Targets(plan).objects)["id"])
    assert not read_box(f"{plan.outdir}/segmentation", plan.layers["segmentation"], plan.roi).any()
    plan = run(1, min_voxels=VOXELS + 1)
    rod = 1 + int(np.ravel_multi_index((5, 6, 7), volume.shape))
    assert rod in read_parquet(Targets(plan).objects)["id"]
    with pytest.raises(ConfigError, match=f"object {rod} has no mesh"):
        MeshReader(f"{plan.outdir}/segmentation/mesh", plan.mesh_spec).mesh(rod)
