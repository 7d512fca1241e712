"""The shipped network on real EM: FIB-25, its held-out slab, beside the scores of the published FFN.

Held out is z 170:250 of training_sample2, whose image is read without anything around it and which is segmented as a whole;
scored are z 170:234, y and x 16:234, voxels of ground truth 0 left out. The network is that of ``configs/fib25.yaml``;
watershed and agglomeration run in memory. Thresholds are chosen on z below 160, where the network was trained, treated alike.
There are two choices: one for all voxels, and one that may leave as many voxels without a segment as the published FFN does
(`t_boundary`). With CONNECTOMAKE_ALONE=1 only what is scored is segmented: bodies are then not joined outside of it.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.data import data_folder
from benchmarks.machine import ROOT
from benchmarks.rows import Row, Skipped
from connectomake.agglomeration import Rule, agglomerate_graph, region_graph
from connectomake.components import interior, watershed
from connectomake.config import load_config, normalise
from connectomake.evaluation import Contingency, both_scores, coverage_of
from connectomake.geometry import Box
from connectomake.inference.engine import infer_block
from connectomake.inference.models import load_network
from connectomake.inference.spec import InferenceSpec

CHOOSE, CHOOSE_SCORED = Box((0, 0, 0), (160, 250, 250)), Box((8, 8, 8), (152, 242, 242))
HELD_OUT, SCORED = Box((170, 0, 0), (250, 250, 250)), Box((170, 16, 16), (234, 234, 234))
T_HIGH = 2.0  # nothing joins before any mean is taken
ABSORB = 2000
T_LOW = 0.002
COVERAGE = 0.957  # the share of the slab that the published FFN segments
LARGEST, BESIDE = 114488, 125243  # half of all voxels, and the body it is merged with: that merger decides the score
FFN = {"all_voxels": (0.777 + 0.424, 0.040), "where_segmented": (0.590 + 0.256, 0.023)}
TARGET = {"all_voxels": (1.0, 0.03), "where_segmented": (0.845, 0.023)}
AUGMENT = os.environ.get("CONNECTOMAKE_AUGMENT")
ALONE = os.environ.get("CONNECTOMAKE_ALONE") == "1"
THREADS = int(os.environ.get("CONNECTOMAKE_THREADS", "2"))


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen on z < 160."""

    min_supervoxel: int
    threshold: float
    large: tuple[int, float] | None
    min_size: int
    t_boundary: float


@dataclass(frozen=True, slots=True)
class Tried:
    """What a choice came to."""

    all_voxels: float
    where_segmented: float
    coverage: float


def choices() -> Iterator[Choice]:
    """Return what is tried; of equals the first is taken, which joins the least."""
    thresholds, large = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4), ((50_000, 0.6), (100_000, 0.6), None)
    boundaries = (0, 0.14, 0.16, 0.18, 0.2, 0.22, 0.24)
    return itertools.starmap(Choice, itertools.product((20, 50, 200), thresholds, large, (0, 2000), boundaries))


def run() -> dict[str, Any]:
    """Choose thresholds on z < 160, then score the slab once with each choice."""
    folder = data_folder() / "fib25"
    if not folder.is_dir():
        raise Skipped(f"{folder} is not there; set CONNECTOMAKE_DATA")
    truth = h5py.File(folder / "training_sample2_groundtruth.h5")["labels"]
    chosen_in, segmented = (CHOOSE_SCORED, SCORED) if ALONE else (CHOOSE, HELD_OUT)
    tried = dict(attempts(affinity_of(folder, CHOOSE, chosen_in), chosen_in, truth))
    affinity, scored = affinity_of(folder, HELD_OUT, segmented), truth[SCORED.slices()]
    rows: list[Row] = []
    result: dict[str, Any] = {}
    for name, choice in chosen_of(tried).items():
        pairs = tally(scored, segment(affinity, choice)[SCORED.slices(segmented.start)])
        rows += rows_of(pairs, name, "")
        rows += rows_of(pairs.take(pairs.keys[:, 0] != LARGEST), name, ", without the largest body")
        others = ~np.isin(pairs.keys[:, 0], (LARGEST, BESIDE))
        rows += rows_of(pairs.take(others), name, ", without the largest and the one beside it")
        scores = {what: asdict(value) for what, value in both_scores(pairs).items()}
        result[name] = {"chosen": asdict(choice), "there": asdict(tried[choice]), "scores": scores}
    return {
        "title": "FIB-25: the shipped network on the held-out slab",
        "rows": rows,
        **result,
        "weights": weights_hash(),
        "augment": spec_of().augment,
    }


def attempts(affinity: np.ndarray, box: Box, truth: np.ndarray) -> Iterator[tuple[Choice, Tried]]:
    """Yield each choice and what it comes to, of the affinities of a box."""
    scored, truth = CHOOSE_SCORED.slices(box.start), truth[CHOOSE_SCORED.slices()]
    basins = watershed(affinity, T_LOW, T_HIGH)
    edges, voxels = region_graph(basins, affinity), np.bincount(basins.ravel())
    pairs = {t: tally(truth, without_boundary(basins, affinity, t)[scored]) for t in {c.t_boundary for c in choices()}}
    for rule, alike in itertools.groupby(choices(), key=rule_of):
        segments, _ = agglomerate_graph(edges, voxels, rule)
        for choice in alike:
            found = renamed(pairs[choice.t_boundary], without_small(segments, voxels, choice.min_size))
            scores, coverage = both_scores(found), coverage_of(found) or 0.0
            yield choice, Tried(told(scores["all_voxels"].voi), told(scores["where_segmented"].voi), coverage)


def chosen_of(tried: dict[Choice, Tried]) -> dict[str, Choice]:
    """Return for either treatment of voxels without a segment what gives the lowest variation of information."""
    enough = [c for c, found in tried.items() if found.coverage >= COVERAGE]
    return {
        "all_voxels": min(tried, key=lambda c: tried[c].all_voxels),
        "where_segmented": min(enough, key=lambda c: tried[c].where_segmented),
    }


def without_boundary(basins: np.ndarray, affinity: np.ndarray, t_boundary: float) -> np.ndarray:
    """Return the basins, 0 where no edge of a voxel reaches `t_boundary`."""
    return np.where(interior(affinity, t_boundary), basins, 0) if t_boundary else basins


def without_small(segments: np.ndarray, voxels: np.ndarray, least: int) -> np.ndarray:
    """Return the segment of each basin, 0 for those of segments of fewer than `least` voxels."""
    sizes = np.bincount(segments.astype(np.int64), weights=voxels)
    return np.where(sizes[segments] >= least, segments, 0)


def rule_of(choice: Choice) -> Rule:
    """Return the rule of agglomeration of a choice."""
    large = choice.large or (None, None)
    return Rule(choice.threshold, "uint8", T_LOW, choice.min_supervoxel, ABSORB, *large)


def segment(affinity: np.ndarray, choice: Choice) -> np.ndarray:
    """Return the segment of each voxel."""
    basins = watershed(affinity, T_LOW, T_HIGH)
    voxels = np.bincount(basins.ravel())
    segments, _ = agglomerate_graph(region_graph(basins, affinity), voxels, rule_of(choice))
    return np.asarray(without_small(segments, voxels, choice.min_size)[without_boundary(basins, affinity, choice.t_boundary)])


def tally(truth: np.ndarray, segments: np.ndarray) -> Contingency:
    """Return the table of voxels per (true object, segment), ground truth 0 left out."""
    known = truth != 0
    keys = np.stack([truth[known].astype(np.uint64), segments[known].astype(np.uint64)], axis=1)
    unique, first, count = np.unique(keys, axis=0, return_index=True, return_counts=True)
    return Contingency(unique, count.astype(np.int64), np.flatnonzero(known)[first].astype(np.int64))


def renamed(pairs: Contingency, segments: np.ndarray) -> Contingency:
    """Return a table of pairs with basins as that with the segments of the basins."""
    keys = np.stack([pairs.keys[:, 0], segments[pairs.keys[:, 1]]], axis=1)
    return Contingency.summed([Contingency(keys, pairs.count, pairs.first)], 2)


def rows_of(pairs: Contingency, name: str, note: str) -> Iterator[Row]:
    """Yield the scores; targets and FFN's stand beside those of all bodies."""
    scores, words = both_scores(pairs)[name], name.replace("_", " ")
    held: list[dict[str, Any]] = [{}, {}]
    if not note:
        held = [{"limit": target, "details": {"ffn": ffn}} for ffn, target in zip(FFN[name], TARGET[name], strict=True)]
    yield Row(f"VOI, {words}{note}", told(scores.voi), "bits", **held[0])
    yield Row(f"adapted Rand error, {words}{note}", told(scores.adapted_rand_error), "", **held[1])
    yield Row(f"VOI split, {words}{note}", told(scores.voi_split), "bits")
    yield Row(f"VOI merge, {words}{note}", told(scores.voi_merge), "bits")
    yield Row(f"share of voxels segmented, chosen for {words}{note}", told(coverage_of(pairs)), "")


def told(figure: float | None) -> float:
    """Return a figure of a slab, which has ground truth."""
    if figure is None:
        raise ValueError("the slab has no voxel with ground truth")
    return figure


def spec_of() -> InferenceSpec:
    """Return the inference of the config, with CONNECTOMAKE_AUGMENT and CONNECTOMAKE_THREADS."""
    spec = InferenceSpec.from_config(normalise(load_config(ROOT / "configs/fib25.yaml"))["inference"])
    return replace(spec, augment=AUGMENT or spec.augment, threads=THREADS)


def weights_hash() -> str:
    """Return the SHA-256 of the shipped weights."""
    return hashlib.sha256(weights_path().read_bytes()).hexdigest()[:16]


def weights_path() -> Path:
    """Return the shipped weights, or CONNECTOMAKE_WEIGHTS."""
    return Path(os.environ.get("CONNECTOMAKE_WEIGHTS") or ROOT / "models/fib25/weights.pt")


def affinity_of(folder: Path, box: Box, part: Box) -> np.ndarray:
    """Return the affinities (3, z, y, x) uint8 of a part of a box, which is read; computed once per weights and settings."""
    return np.ascontiguousarray(whole_affinity_of(folder, box)[(slice(None), *part.slices(box.start))])


def whole_affinity_of(folder: Path, box: Box) -> np.ndarray:
    """Return the affinities (3, z, y, x) uint8 of a box, computed once per weights and settings."""
    spec = spec_of()
    settings = f"{weights_hash()}-{spec.augment}-{'_'.join(map(str, (*spec.patch, *spec.output_patch)))}"
    kept = ROOT / f"benchmarks/work/fib25-{settings}-{'_'.join(map(str, (*box.start, *box.stop)))}.npy"
    if kept.exists():
        known: np.ndarray = np.load(kept)
        return known
    image = h5py.File(folder / "training_sample2_raw.h5")["raw"][box.slices()]
    out = np.zeros((3, *box.shape), np.uint8)

    def write(place: Box, planes: np.ndarray) -> None:
        out[(slice(None), *place.slices(box.start))] = planes

    network = load_network(ROOT / "models/rsunet.py", weights_path(), spec)
    infer_block(lambda b: image[b.slices(box.start)], box, network, spec, spec.lattice(box), box, write, 16)
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.save(kept, out)
    return out
