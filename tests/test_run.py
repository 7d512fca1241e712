"""A finished run in Python: what a notebook sees is what the files hold."""

import copy
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import connectomake
from connectomake.errors import ConfigError, LayerError, RunError
from connectomake.layers import read_box
from connectomake.meshes.reading import MeshReader
from connectomake.objects import read_parquet
from connectomake.planning.paths import Paths
from connectomake.planning.scales import Scales
from connectomake.run import Run, open_run
from tests.tiny_run import CONFIG, make_run, write_inputs

HERE: dict[str, Any] = {
    **copy.deepcopy(CONFIG),
    "source": CONFIG["source"] | {"start": [3, 2, 5]},
    "skeletons": {"enabled": True, "cell": [8, 8, 8]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder, HERE)
        make_run(HERE)
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)
    return connectomake.open_run("config.yaml")


def test_its_names_are_all_there() -> None:
    assert set(connectomake.__all__) <= set(dir(connectomake))
    assert connectomake.open_run.__doc__


@pytest.mark.parametrize("layer", ["image", "affinity", "components", "segmentation", "ground_truth"])
def test_arrays_are_the_voxels_at_their_places(run: Run, layer: str) -> None:
    for scale, spec in enumerate(Scales(run).specs(layer)):
        array = run.array(layer, scale)
        whole = read_box(f"out/{layer}", spec, spec.roi)
        assert array.domain.inclusive_min[1:] == spec.roi.start
        np.testing.assert_array_equal(array.read().result(), whole)
        assert array.dtype.name == spec.dtype
    assert run.scales(layer)[0] == run.layers[layer].roi.shape
    z, y, x = run.layers[layer].roi.start
    np.testing.assert_array_equal(
        run.array(layer)[0, z : z + 2, y : y + 3, x : x + 4].read().result(), read_box(f"out/{layer}", run.layers[layer],
        type(run.roi)((z, y, x), (z + 2, y + 3, x + 4)))[0]
    )  # fmt: skip


def test_objects_are_the_table(run: Run) -> None:
    table, stored = run.objects(), read_parquet(Paths(run).objects)
    assert table.column_names == list(stored)
    assert table.num_rows > 1
    for name, column in stored.items():
        np.testing.assert_array_equal(table[name].to_numpy(), column)
    assert run.objects(["id", "voxels"]).column_names == ["id", "voxels"]


def test_meshes_and_skeletons_of_objects(run: Run) -> None:
    largest = int(run.objects().sort_by([("voxels", "descending")])["id"][0].as_py())
    vertices, faces = run.mesh(largest)
    wanted = MeshReader("out/segmentation/mesh", run.mesh_spec).mesh(largest)
    np.testing.assert_array_equal(vertices, wanted[0])
    np.testing.assert_array_equal(faces, wanted[1])
    low = (np.array(run.roi.start) - 1) * np.array(run.source.voxel_size)  # surfaces lie half a voxel around objects
    high = (np.array(run.roi.stop) + 1) * np.array(run.source.voxel_size)
    assert (vertices >= low).all()
    assert (vertices <= high).all()
    skeleton = run.skeleton(largest)
    assert (skeleton.vertices >= low).all()
    assert (skeleton.vertices <= high).all()


def test_scores_are_those_of_the_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from connectomake.cli import main

    with pytest.raises(SystemExit):
        main(["evaluate", "truth.h5", "out/segmentation", "--dataset-gt", "labels", "--offset-gt", "0", "0", "0", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(run.evaluate("truth.h5", "labels", offset=(0, 0, 0)))) == told


def test_what_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no layer 'labels'; there are: .*segmentation"):
        run.array("labels")
    with pytest.raises(ConfigError, match="has scales 0 to 1, not 7"):
        run.array("segmentation", 7)
    with pytest.raises(ConfigError, match="object 4711 has no mesh"):
        run.mesh(4711)
    with pytest.raises(ConfigError, match="has no skeleton"):
        run.skeleton(4711)
    aside = Path("out/affinity").rename(tmp_path / "affinity")
    with pytest.raises(RunError, match=r"affinity has no scale .*does not keep it"):
        run.array("affinity")
    aside.rename("out/affinity")
    table = Path("out/objects/objects.parquet")
    data = table.read_bytes()
    table.unlink()
    with pytest.raises(LayerError, match="is missing"):
        run.objects()
    table.write_bytes(data)


PUBLIC = [connectomake.open_run, open_run, *(member for name, member in vars(Run).items() if not name.startswith("_"))]
"""What docs/python.md promises to keep."""


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__qualname__)
def test_what_is_promised_says_what_it_takes_and_gives(function: Callable[..., Any]) -> None:
    sections = re.findall(r"^(\w+)\n-+$", inspect.getdoc(function) or "", re.MULTILINE)
    takes = inspect.signature(function).parameters.keys() - {"self"}
    assert sections[: 2 + bool(takes)] == [*(["Parameters"] if takes else []), "Returns", "Raises"]
    text = (inspect.getdoc(function) or "").partition("Parameters\n")[2].partition("Returns\n")[0]
    assert all(re.search(rf"^(\w+, )*{name}\b", text, re.MULTILINE) for name in takes), "each parameter is described"
