"""What each stage's result depends on: exactly the values that it reads, its version, and the stages before it.

The canonical JSON of a stage is the one param of its rules, so Snakemake sees any change, also two numbers swapped. Its hash,
the fingerprint, is noted at the end of every file, so a change is seen without Snakemake's metadata too.

A stage's version is raised by hand when its output changes for the same input; a test with golden hashes fails otherwise.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from connectomake.atomic import canonical_json
from connectomake.layers import LayerSpec
from connectomake.layers.records import WITHIN
from connectomake.planning.plan import Plan
from connectomake.planning.scales import LAYERS, Scales
from connectomake.planning.skeletons import Skeletons

VERSIONS = {
    "image": 2,
    "affinity": 2,
    "components": 1,
    "merge": 1,
    "agglomeration": 1,
    "segmentation": 1,
    "measures": 1,
    "traces": 2,
    "skeletons": 2,
    "objects": 2,
    "fragments": 4,
    "meshes": 4,
    "ground_truth": 1,
    "contingency": 2,
    "evaluation": 1,
    "curve": 1,
    "pyramid_image": 2,
    "pyramid_affinity": 2,
    "pyramid_segmentation": 1,
    "pyramid_ground_truth": 1,
}
REPORT = "report"
AT_THRESHOLDS = ("agglomeration", "segmentation")
"""Stages that are there once more for each further threshold of agglomeration, with its suffix in their names."""
METHOD_KEYS = {
    "threshold": ("channel", "threshold", "connectivity"),
    "watershed": ("affinity_channels", "t_low", "t_high"),
}
"""What the components stage reads of the config's section `segmentation`."""


@dataclass(frozen=True, eq=False)
class Stages:
    """Params and fingerprints of the stages of a plan.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @functools.cached_property
    def names(self) -> list[str]:
        """The stages that this plan runs, in order."""
        skipped = {
            "image": self.plan.source.in_place,
            "affinity": self.plan.inference is None,
            "agglomeration": not self.plan.agglomerates,
            "measures": not self.plan.measured,
            "traces": not Skeletons(self.plan).enabled,
            "skeletons": not Skeletons(self.plan).enabled,
            "fragments": not self.plan.meshes_enabled,
            "meshes": not self.plan.meshes_enabled,
            "ground_truth": "ground_truth" not in self.plan.layers,
            "contingency": self.plan.truth is None,
            "evaluation": self.plan.truth is None,
            "curve": not self.plan.curved,
            **{f"pyramid_{layer}": layer not in Scales(self.plan).layers for layer in LAYERS},
        }
        names = [name for name in VERSIONS if not skipped.get(name, False)]
        return names + [f"{name}{at}" for at in self.plan.thresholds if at for name in AT_THRESHOLDS]

    def base(self, stage: str) -> str:
        """Return a stage's name without a further threshold: ``segmentation`` of ``segmentation_0.35``."""
        return self._parts(stage)[0]

    def _parts(self, stage: str) -> tuple[str, str]:
        name, _, number = stage.partition("_")
        at = f"_{number}"
        return (name, at) if name in AT_THRESHOLDS and at in self.plan.thresholds else (stage, "")

    @functools.cache  # noqa: B019  (one plan lives as long as the process)
    def param(self, stage: str) -> str:
        """Return the canonical JSON of all that a stage's result depends on; of reports, of their own settings only."""
        if stage == REPORT:
            return canonical_json({"report": self.plan.config["report"], "version": 1})
        base, at = self._parts(stage)
        reads: Callable[..., dict[str, Any]] = getattr(self, f"_{base}")
        upstream = {name: self.fingerprint(name) for name in self._upstream(base, at)}
        values = reads(at) if base in AT_THRESHOLDS else reads()
        return canonical_json({"stage": stage, "version": VERSIONS[base], "upstream": upstream, **values})

    @functools.cache  # noqa: B019
    def fingerprint(self, stage: str) -> str:
        """Return the hash of a stage's param."""
        return hashlib.sha256(self.param(stage).encode()).hexdigest()[:32]

    def record(self, stage: str, **facts: Any) -> dict[str, Any]:
        """Return what is to be noted at the end of a stage's files; the writer adds which file it is."""
        from connectomake import __version__

        known = {"stage": stage, "fingerprint": self.fingerprint(stage), "connectomake": __version__}
        return {**known, WITHIN: self.plan.outdir, **facts}

    def _upstream(self, stage: str, at: str) -> list[str]:
        image = [] if self.plan.source.in_place else ["image"]
        truth = ["ground_truth"] if "ground_truth" in self.plan.layers else []
        probability = ["affinity"] if self.plan.inference is not None else image
        ids = [f"agglomeration{at}"] if self.plan.agglomerates else ["merge"]
        lengths = ["skeletons"] if Skeletons(self.plan).enabled else []
        before = {
            "image": [], "affinity": image, "components": probability, "merge": ["components"],
            "agglomeration": ["merge"], "segmentation": ids, "measures": ["segmentation"],
            "traces": ["segmentation"], "skeletons": ["traces"],
            "objects": [*ids, *(["measures"] if self.plan.measured else []), *lengths],
            "fragments": ["segmentation", "objects"] if self.plan.meshes_selected else ["segmentation"],
            "meshes": ["fragments"],
            "ground_truth": [], "contingency": ["segmentation", *truth], "evaluation": ["contingency"],
            "curve": ["evaluation", f"agglomeration{self.plan.lowest}"],
            **{f"pyramid_{layer}": [layer] for layer in LAYERS},
        }  # fmt: skip
        return before[stage]

    def _source(self) -> dict[str, Any]:
        """The content that is read in place, where there is no image stage before."""
        s = self.plan.source
        return {
            "identity": s.identity,
            "dataset": s.dataset,
            "scale": s.scale,
            "bounds": asdict(s.bounds),
            **s.options.chosen(),
        }

    def _image(self) -> dict[str, Any]:
        return {"layer": layer_values(self.plan.layers["image"]), "source": self._source()}

    def _affinity(self) -> dict[str, Any]:
        values = {
            "layer": layer_values(self.plan.layers["affinity"]),
            "inference": self.plan.inference.values() if self.plan.inference else None,
            "model": self.plan.model,
            "weights": self.plan.weights,
            "bounds": asdict(self.plan.source.bounds),
            **({"modules": self.plan.modules} if self.plan.modules else {}),
        }
        return values | ({"source": self._source()} if self.plan.source.in_place else {})

    def _components(self) -> dict[str, Any]:
        keys = METHOD_KEYS[self.plan.config["segmentation"]["method"]]
        read = {k: self.plan.config["segmentation"][k] for k in ("method", *keys)}
        read |= {"t_boundary": self.plan.t_boundary} if self.plan.t_boundary else {}
        values = {"layer": layer_values(self.plan.layers["components"]), "segmentation": read}
        return values | ({"source": self._source()} if self.plan.probability is None else {})

    def _merge(self) -> dict[str, Any]:
        # which blocks a node has decides its files, though not the result; how much memory was allowed for does not
        return {"min_size": self.plan.merge_min_size, "merge": {"fan_out": 1 << self.plan.octree.bits}}

    def _agglomeration(self, at: str) -> dict[str, Any]:
        options = {k: self.plan.config["segmentation"][k] for k in ("t_low", "min_supervoxel", "min_size")}
        section = self.plan.config["agglomeration"]
        if section is not None:
            section = {k: v for k, v in section.items() if k != "thresholds"} | {"threshold": self.plan.thresholds[at]}
        return {"agglomeration": section, "segmentation": options}

    def _segmentation(self, at: str) -> dict[str, Any]:
        return {"layer": layer_values(self.plan.layers[f"segmentation{at}"])}

    def _measures(self) -> dict[str, Any]:
        return {"cell": self.plan.measured_cell, "group_bits": self.plan.measure_tree.group_bits}

    def _objects(self) -> dict[str, Any]:
        return {"objects": self.plan.config["objects"], "voxel_size": self.plan.source.voxel_size}

    def _fragments(self) -> dict[str, Any]:
        tree = self.plan.mesh_tree
        values = {"meshes": asdict(self.plan.mesh_spec), "group_bits": tree.group_bits, "gather_bits": tree.bits}
        return values | ({"select": self.plan.config["meshes"]["select"]} if self.plan.meshes_selected else {})

    def _traces(self) -> dict[str, Any]:
        skeletons = Skeletons(self.plan)
        spec = {k: v for k, v in asdict(skeletons.spec).items() if k != "min_voxels"}
        bits = {"group_bits": skeletons.tree.group_bits, "gather_bits": skeletons.tree.bits}
        return {"skeletons": spec, "ids": skeletons.config["ids"], **bits}

    def _skeletons(self) -> dict[str, Any]:
        return {"min_voxels": Skeletons(self.plan).spec.min_voxels}

    def _meshes(self) -> dict[str, Any]:
        return {}

    def _truth(self) -> dict[str, Any]:
        t = self.plan.truth
        if t is None:
            return {}
        values = {"identity": t.identity, "dataset": t.dataset, "scale": t.scale, "bounds": asdict(t.bounds)}
        return values | t.options.chosen()

    def _ground_truth(self) -> dict[str, Any]:
        return {"layer": layer_values(self.plan.layers["ground_truth"]), "truth": self._truth()}

    def _contingency(self) -> dict[str, Any]:
        values = {"box": asdict(self.plan.evaluation_box)}
        return values if "ground_truth" in self.plan.layers else values | {"truth": self._truth()}

    def _pyramid(self, layer: str) -> dict[str, Any]:
        """The layer at its finest scale and the rule of joining; not the number of scales, on which none of them depends."""
        how, factors = Scales(self.plan).how(layer), self.plan.config["pyramid"]["factors"]
        values = {"layer": layer_values(self.plan.layers[layer]), "how": how, "factors": factors}
        floats = layer == "image" and self.plan.inference is not None and self.plan.source.dtype == "float32"
        return values | ({"shade": "stretched"} if floats else {})

    def _pyramid_image(self) -> dict[str, Any]:
        return self._pyramid("image")

    def _pyramid_affinity(self) -> dict[str, Any]:
        return self._pyramid("affinity")

    def _pyramid_segmentation(self) -> dict[str, Any]:
        return self._pyramid("segmentation")

    def _pyramid_ground_truth(self) -> dict[str, Any]:
        return self._pyramid("ground_truth")

    def _curve(self) -> dict[str, Any]:
        return {"chosen": self.plan.thresholds[""], "lowest": self.plan.thresholds[self.plan.lowest]}

    def _evaluation(self) -> dict[str, Any]:
        return {key: self.plan.config["evaluation"][key] for key in ("ignore", "worst")}


def layer_values(spec: LayerSpec) -> dict[str, Any]:
    """Return all that defines a layer, as plain values."""
    return asdict(spec)
