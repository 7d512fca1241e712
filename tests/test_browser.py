"""The page in headless Chromium: Neuroglancer itself loads the layers and draws the meshes."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomake.geometry import as_vec
from connectomake.objects import read_parquet
from connectomake.planning.plan import Plan
from connectomake.viewing import make_server, mounts, viewer_state
from connectomake.viewing.client import client_folder
from tests.chromium import CHROMIUM, SIZE, is_drawn, screenshot
from tests.shown_layers import chequered, ingested, make_plan, with_affinity
from tests.tiny_run import CONFIG, make_run, write_inputs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
    pytest.mark.skipif(client_folder() is None, reason="the neuroglancer package has no client"),
]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    folder = tmp_path_factory.mktemp("browser")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config: dict[str, Any] = CONFIG | {"skeletons": {"enabled": True, "cell": [16, 16, 16], "const": 40, "min_voxels": 10}}
        write_inputs(folder, config)
        yield make_run(config)


class Asked:
    """A server that notes what it was asked for."""

    def __init__(self, plan: Plan, state: Callable[..., Any]) -> None:
        self.server = make_server("127.0.0.1", 0, mounts(plan))
        self.server.state = state(self.server.base)
        self.paths: list[Any] = []
        find = self.server.find

        def noting(path: str) -> tuple[Path, str | None] | None:
            self.paths.append(path)
            return find(path)

        self.server.find = noting  # type: ignore[method-assign]

    def __enter__(self) -> Asked:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: None) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_chromium_draws_the_meshes(plan: Plan, tmp_path: Path) -> None:
    table = read_parquet(f"{plan.outdir}/objects/objects.parquet")
    largest = [int(i) for i in table["id"][np.argsort(table["voxels"])[::-1][:12]]]
    middle = as_vec([a + n // 2 for a, n in zip(plan.roi.start, plan.roi.shape, strict=True)])

    def state(base: str, ids: list[int] = largest) -> dict[str, Any]:
        made = viewer_state(plan, base, middle, ids)
        layers = [layer for layer in made["layers"] if layer["name"] == "segmentation"]
        return made | {"layout": "3d", "layers": layers, "selectedLayer": {}, "showAxisLines": False}

    with Asked(plan, state) as asked:
        shown, seconds = screenshot(asked.server.base, tmp_path / "meshes.png", tmp_path / "profile", is_drawn)
        print(f"drawn after {seconds:.1f} s")
    assert any("/mesh/" in path and path.endswith(".shard") for path in asked.paths)
    assert is_drawn(shown)
    with Asked(plan, lambda base: state(base) | {"layers": []}) as nothing:
        empty, _ = screenshot(nothing.server.base, tmp_path / "empty.png", tmp_path / "other", is_drawn, 15)
    assert not is_drawn(empty)
    kept = os.environ.get("CONNECTOMAKE_SCREENSHOT")
    if kept:
        shutil.copy(tmp_path / "meshes.png", Path(kept))


def has_lines(picture: np.ndarray) -> bool:
    """Whether the middle of a picture shows coloured lines, on a small part of it at least."""
    middle = picture[SIZE[1] // 4 : 3 * SIZE[1] // 4, SIZE[0] // 4 : 3 * SIZE[0] // 4].reshape(-1, 3)
    return bool((np.ptp(middle, axis=1) > 60).mean() > 0.02)


def test_chromium_draws_the_skeletons(plan: Plan, tmp_path: Path) -> None:
    """With the meshes off, lines are left."""
    table = read_parquet(f"{plan.outdir}/objects/objects.parquet")
    longest = [int(i) for i in table["id"][np.argsort(table["skeleton_um"])[::-1][:12]]]
    middle = as_vec([a + n // 2 for a, n in zip(plan.roi.start, plan.roi.shape, strict=True)])

    def state(base: str, skeletons: bool = True) -> dict[str, Any]:
        made = viewer_state(plan, base, middle, longest)
        (layer,) = [layer for layer in made["layers"] if layer["name"] == "segmentation"]
        source: dict[str, Any] = {"url": layer["source"], "subsources": {"mesh": False, "skeletons": skeletons}}
        shown = {"layout": "3d", "layers": [layer | {"source": source}], "projectionScale": 30}
        return made | shown | {"selectedLayer": {}, "showAxisLines": False, "showDefaultAnnotations": False}

    with Asked(plan, state) as asked:
        shown, _ = screenshot(asked.server.base, tmp_path / "lines.png", tmp_path / "profile", has_lines)
    assert any("/skeletons/" in path and path.endswith(".shard") for path in asked.paths)
    assert has_lines(shown)
    with Asked(plan, lambda base: state(base, skeletons=False)) as nothing:
        empty, _ = screenshot(nothing.server.base, tmp_path / "empty.png", tmp_path / "other", has_lines, 15)
    assert not has_lines(empty)
    kept = os.environ.get("CONNECTOMAKE_SCREENSHOT_LINES")
    if kept:
        shutil.copy(tmp_path / "lines.png", Path(kept))


def greys(picture: np.ndarray) -> int:
    """How many shades of grey the middle of a picture shows, each on a hundredth of it at least."""
    middle = picture[SIZE[1] // 4 : 3 * SIZE[1] // 4, SIZE[0] // 4 : 3 * SIZE[0] // 4].reshape(-1, 3)
    _, counts = np.unique(middle.mean(axis=1) // 16, return_counts=True)
    return int((counts > len(middle) / 100).sum())


SHOWN = {
    "12 bits in uint16": (chequered(300, 3700, "uint16"), {}, False),
    "signed": (chequered(-3000, 900, "int16"), {}, False),
    "bytes as floats": (chequered(0, 255, "float32"), {}, False),
    "12 bits in place, its range named": (chequered(300, 3700, "uint16"), {"range": [0, 4095]}, True),
    "in place, downwards": (chequered(300, 3700, "uint16"), {"range": [4095, 0]}, True),
}


@pytest.mark.parametrize("name", SHOWN)
def test_chromium_shows_the_greys_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither black nor white all over, whatever the dtype."""
    image, source, in_place = SHOWN[name]
    monkeypatch.chdir(tmp_path)
    made = make_plan(tmp_path, image, source, in_place)
    Path("out").mkdir(exist_ok=True)
    check_greys(made if in_place else ingested(made), tmp_path, "image", name)


@pytest.mark.parametrize("channels", [1, 3])
def test_chromium_shows_floats_beyond_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.stack([chequered(-9, 9, "float32")] * channels)
    made = ingested(make_plan(tmp_path, chequered(0, 255, "uint8"), channels=channels))
    check_greys(with_affinity(made, values), tmp_path, "affinity", f"{channels} channels")


def check_greys(made: Plan, folder: Path, layer: str, name: str) -> None:
    def state(base: str) -> dict[str, Any]:
        full = viewer_state(made, base, (8, 32, 32))
        layers = [one | {"visible": True} for one in full["layers"] if one["name"] == layer]
        shown = {"layout": "xy", "layers": layers, "crossSectionScale": 0.125, "selectedLayer": {}}
        return full | shown | {"showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False}

    with Asked(made, state) as asked:
        picture, _ = screenshot(asked.server.base, folder / "shown.png", folder / "profile", lambda p: greys(p) >= 5, 600)
    kept = os.environ.get("CONNECTOMAKE_SCREENSHOTS")
    if kept:
        shutil.copy(folder / "shown.png", Path(kept) / f"{name}.png".replace(" ", "-"))
    assert greys(picture) >= 5
