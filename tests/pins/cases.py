"""The configs that are pinned. No source is opened: what a plan would know of it stands here."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from connectomake.config import check_config, normalise
from connectomake.geometry import Box
from connectomake.planning.modules import file_hash, neighbours
from connectomake.planning.plan import Plan
from connectomake.planning.segment_table import TableInfo
from connectomake.planning.source_info import SourceInfo
from connectomake.sources import SourceOptions

ROOT = Path(__file__).resolve().parents[2]
NETWORK: dict[str, Any] = {"model": "model.py", "patch": [16, 20, 20], "output_patch": [12, 16, 16], "overlap": [2, 4, 4]}
AFFINITIES: dict[str, Any] = {
    "inference": {**NETWORK, "channels": 3},
    "segmentation": {"method": "watershed", "min_supervoxel": 10, "min_size": 30},
}
JOINED: dict[str, Any] = {**AFFINITIES, "agglomeration": {"threshold": 0.4}}
TRUTH: dict[str, Any] = {
    "evaluation": {"ground_truth": "truth.h5", "dataset": "labels", "offset": [1, 2, 3], "stop": [60, 70, 80], "worst": 3}
}
SKELETONS: dict[str, Any] = {"skeletons": {"enabled": True, "cell": [32, 32, 32], "halo": 60, "voxels_per_job": 65536}}


@dataclass(frozen=True)
class Case:
    """A config, as it stands in a file, and the facts of its source and ground truth.

    Parameters
    ----------
    config
        Without defaults.
    shape, start, kind, channels, dtype, voxel_size
        Of the source.
    truth
        Kind of the ground truth, if there is one.
    rows
        Of the table that joins given labels, if there is one.
    """

    config: dict[str, Any]
    shape: tuple[Any, ...] = (70, 80, 90)
    start: tuple[Any, ...] = (0, 0, 0)
    kind: str = "hdf5"
    channels: int = 1
    dtype: str = "uint8"
    voxel_size: tuple[Any, ...] = (20.0, 10.0, 10.0)
    truth: str = "hdf5"
    rows: int = 1000

    def plan(self) -> Plan:
        """The plan, as `resolve` would make it."""
        config = normalise(copy.deepcopy(self.config))
        check_config(config)
        facts = self._facts(config["source"], config["source"]["path"], self.kind, self.channels, self.dtype, "source")
        section = config["evaluation"]
        truth = self._facts(section, section["ground_truth"], self.truth, 1, "uint64", "truth") if section else None
        model, weights, modules = _models(config["inference"])
        joined = config["segmentation"]["table"]
        table = joined and TableInfo(joined["path"], "hash of the table", 14 * self.rows, self.rows)
        return Plan(config, facts, model, weights, truth, modules, table=table)

    def _facts(self, section: dict[str, Any], path: str, kind: str, channels: int, dtype: str, identity: str) -> SourceInfo:
        offset = section["offset"]
        bounds = Box.of_shape(self.shape, self.start if offset is None else tuple(offset))
        return SourceInfo(
            path, section["dataset"], section["scale"], kind, bounds, channels, dtype, self.voxel_size, identity,
            SourceOptions.of(section),
        )  # fmt: skip


def _models(section: dict[str, Any] | None) -> tuple[Any, ...]:
    """Hashes of the files of a network that the repository has; of others, names."""
    if section is None:
        return None, None, {}
    paths: list[Any] = [None if section[key] is None else ROOT / section[key] for key in ("model", "weights")]
    hashes = [path and (file_hash(path) if path.exists() else path.name) for path in paths]
    return *hashes, neighbours(paths[0]) if paths[0].exists() else {}


def small(**sections: Any) -> dict[str, Any]:
    """A small config with other or further sections; a dict changes keys of a section."""
    config: dict[str, Any] = {
        "outdir": "out",
        "source": {"path": "raw.h5", "dataset": "raw", "voxel_size": [20, 10, 10]},
        "block": [32, 32, 32],
        "chunk": [16, 16, 16],
        "inference": dict(NETWORK),
        "segmentation": {"threshold": 0.55, "connectivity": 6, "min_size": 30},
        "meshes": {"cell": [16, 16, 16], "voxels_per_job": 40000},
        "merge": {"fan_out": 8},
        "pyramid": {"enabled": False},
    }
    for name, value in copy.deepcopy(sections).items():
        config[name] = {**config.get(name, {}), **value} if isinstance(value, dict) else value
    return config


def _of_repository(name: str, path: str, truth: str) -> dict[str, Any]:
    """A config of the repository; its volumes lie elsewhere."""
    config = yaml.safe_load((ROOT / name).read_text())
    config["source"]["path"], config["evaluation"]["ground_truth"] = path, truth
    return dict(config)


def cases() -> dict[str, Case]:
    """All configs by name."""
    in_place = {"path": "https://example.org/volume", "dataset": None, "scale": 0}
    everything = {"keep": ["image", "affinity", "components", "traces", "fragments"], "report": {"enabled": True, "slices": 2}}
    return {
        "demo": Case(_of_repository("config.yaml", "raw.h5", "truth.h5"), (272, 280, 288), voxel_size=(16.0, 16.0, 16.0)),
        "fib25": Case(
            _of_repository("configs/fib25.yaml", "raw.h5", "truth.h5"), (200, 260, 390), voxel_size=(10.0, 10.0, 10.0)
        ),
        "threshold": Case(small(segmentation={"connectivity": 26})),
        "in-place": Case(
            small(source=in_place, evaluation={"ground_truth": "truth", "scale": "10_10_20"}),
            start=(-7, 5, 11),
            kind="precomputed",
            truth="precomputed",
        ),
        "skeletons": Case(small(**JOINED, **SKELETONS, merge={"fan_out": 2})),
        "further-thresholds": Case(small(**{**JOINED, "agglomeration": {"threshold": 0.4, "thresholds": [0.2, 0.35]}})),
        "boundary": Case(small(**{**AFFINITIES, "segmentation": {"method": "watershed", "t_boundary": 0.3}})),
        "selected-meshes": Case(small(meshes={"select": {"query": "voxels > 1000"}, "lods": 2}, merge={"fan_out": 2})),
        "evaluation": Case(small(**{**JOINED, "agglomeration": {"threshold": 0.4, "absorb": 20}}, **TRUTH)),
        "measures": Case(small(meshes={"enabled": False}, objects={"properties_limit": 7})),
        "unmeasured": Case(small(meshes={"enabled": False}, objects={"measure": False}, keep=[])),
        "everything": Case(
            small(
                **{**JOINED, "agglomeration": {"threshold": 0.4, "thresholds": [0.2]}},
                **TRUTH,
                **SKELETONS,
                **everything,
                pyramid={"enabled": True},
            )
        ),
        "affinities": Case(small(inference=None, segmentation={"method": "watershed"}, keep=[]), channels=3, dtype="float32"),
        "probability": Case(
            small(source={**in_place, "range": [0, 200]}, inference=None), start=(3, 2, 1), kind="precomputed", channels=2
        ),
        "labels": Case(
            small(
                inference=None,
                segmentation={"method": "labels", "threshold": 0.5, "min_size": 0, "table": {"path": "table.csv"}},
            ),
            dtype="uint64",
        ),
        "region": Case(
            small(
                source={"start": [-3, 4, 9], "stop": [50, 78, 100]},
                block=[16, 64, 32],
                chunk=[8, 32, 16],
                inference={**NETWORK, "dtype": "float32", "device": "cuda", "threads": 2, "augment": 8},
                compression=3,
            ),
            start=(-5, 2, 7),
            shape=(80, 90, 110),
        ),
        "pyramids": Case(
            small(
                **TRUTH,
                keep=["image", "affinity"],
                pyramid={"enabled": True, "scales": 2, "factors": [[1, 2, 2], [2, 2, 2]], "labels": "sparse"},
            ),
            dtype="float32",
        ),
    }
