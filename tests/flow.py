"""A small project folder in which tests run the real workflow."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from connectomake.layers import read_box
from connectomake.layers.records import _TAIL
from connectomake.objects import read_parquet
from connectomake.pipeline.targets import Targets
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons

ROOT = Path(__file__).resolve().parents[1]
MODEL = '''
import torch

class Smooth(torch.nn.Module):
    """A fixed convolution and a sigmoid: enough to tell apart any mistake in the patches."""
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, 3, padding=1)
        kernel = torch.linspace(-0.1, 0.1, 27).reshape(1, 1, 3, 3, 3) - 1 / 27
        kernel[0, 0, 1, 1, 1] += 1
        self.conv.weight.data = 20 * kernel
        self.conv.bias.data[:] = -1.9

    def forward(self, x):
        return torch.sigmoid(self.conv(x))

InstantiatedModel = Smooth()
'''
CONFIG: dict[str, Any] = {
    "outdir": "out",
    "source": {"path": "raw.h5", "dataset": "raw", "voxel_size": [20, 10, 10]},
    "block": [32, 32, 32],
    "chunk": [16, 16, 16],
    "inference": {
        "model": "model.py",
        "patch": [14, 20, 20],
        "output_patch": [10, 16, 16],
        "overlap": [2, 4, 6],
        "dtype": "float32",
    },
    "segmentation": {"threshold": 0.55, "connectivity": 6, "min_size": 30},
    "meshes": {"cell": [16, 16, 16], "voxels_per_job": 40000, "simplify": {"factor": 4}},
    "keep": ["image", "affinity", "components", "fragments"],
    "pyramid": {"enabled": False},
}


def smooth_noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Blobs of about five voxels, uint8."""
    noise = np.random.default_rng(seed).random(shape)
    for axis in range(3):
        noise = np.asarray(sum(np.roll(noise, s, axis) for s in range(-2, 3)))
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return np.asarray((255 * noise).astype(np.uint8))


@dataclass
class Flow:
    """A folder with a source, a model and configs."""

    folder: Path
    shape: tuple[Any, ...] = (36, 40, 44)
    config: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(CONFIG))

    def make(self) -> Flow:
        self.folder.mkdir(parents=True, exist_ok=True)
        with h5py.File(self.folder / "raw.h5", "w") as file:
            file["raw"] = smooth_noise(self.shape)
        (self.folder / "model.py").write_text(MODEL)
        return self

    def with_values(self, **values: Any) -> dict[str, Any]:
        """The config with some keys replaced; ``a__b`` stands for a.b."""
        config = copy.deepcopy(self.config)
        for key, value in values.items():
            *path, last = key.split("__")
            part = config
            for name in path:
                part = part.setdefault(name, {})
            part[last] = value
        return config

    def write(self, config: dict[str, Any] | None = None, name: str = "config.yaml") -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(config or self.config))
        return path

    def command(self, *args: str, config: str = "config.yaml", profile: bool = True) -> list[str]:
        options = ["--profile", str(ROOT / "profiles/local")] if profile else ["--cores", "2"]
        head = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", config]
        return [*head, *options, *args]

    def run(self, *args: str, config: str = "config.yaml", profile: bool = True, check: bool = True) -> Any:
        """Run snakemake; return what it printed."""
        done = subprocess.run(
            self.command(*args, config=config, profile=profile),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=3600,
            check=False,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        )
        if check and done.returncode:
            raise AssertionError(done.stdout[-6000:])
        return done.stdout if check else (done.returncode, done.stdout)

    def would_run(self, config: Any = None, *args: Any) -> Any:
        """Jobs per rule that a dry run announces for a config."""
        self.write(config, "changed.yaml")
        return job_counts(self.run("-n", *args, config="changed.yaml"))

    def plan(self, config: dict[str, Any] | None = None) -> Plan:
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            return resolve(copy.deepcopy(config or self.config))
        finally:
            os.chdir(here)

    def targets(self, config: Any = None) -> Targets:
        return Targets(self.plan(config))

    def array(self, layer: str, config: dict[str, Any] | None = None) -> np.ndarray:
        plan = self.plan(config)
        return read_box(self.folder / plan.outdir / layer, plan.layers[layer], plan.roi)

    def digests(self, config: Any = None) -> dict[str, str]:
        """SHA-256 of everything a run ends with that must not depend on blocks: voxels, table, meshes."""
        plan = self.plan(config)
        layers = [*(["affinity"] if "affinity" in plan.layers and plan.keeps("affinity") else []), "segmentation"]
        found: dict[str, str] = {layer: sha(self.array(layer, config).tobytes()) for layer in layers}
        columns = read_parquet(self.folder / Targets(plan).objects)
        found["objects"] = sha(b"".join(name.encode() + column.tobytes() for name, column in columns.items()))
        found["properties"] = sha((self.folder / Targets(plan).properties).read_bytes())
        for name in ("scores", "worst") if plan.truth else ():
            found[name] = sha((self.folder / Targets(plan).evaluation()[name]).read_bytes())
        for layer, spec in ((n, s) for n in Scales(plan).layers for s in Scales(plan).specs(n)[1:]):
            found[f"{layer} {spec.scale_key}"] = sha(read_box(self.folder / plan.outdir / layer, spec, spec.roi).tobytes())
        for path in map(Targets(plan).mesh_shard, range(plan.mesh_spec.sharding.count)) if plan.meshes_enabled else []:
            found[Path(path).name] = sha(without_record((self.folder / path).read_bytes()))
        for path in map(Skeletons(plan).shard, Skeletons(plan).numbers) if Skeletons(plan).enabled else []:
            found["skeletons"] = sha(without_record((self.folder / path).read_bytes()))
        return found


def without_record(data: bytes) -> bytes:
    """The bytes of a file without the record at its end, which names the run's settings."""
    return data[: -_TAIL.size - _TAIL.unpack(data[-_TAIL.size :])[1]]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def job_counts(text: str) -> dict[str, Any]:
    """Parse the table of jobs that snakemake prints; empty if nothing is to be done."""
    if "Nothing to be done" in text:
        return {}
    table = re.search(r"^Job stats:\njob +count\n[- ]+\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    if table is None:
        raise AssertionError(text[-3000:])
    counts = dict(line.rsplit(None, 1) for line in table[1].splitlines())
    return {name: int(count) for name, count in counts.items() if name not in {"total", "all", "kept"}}
