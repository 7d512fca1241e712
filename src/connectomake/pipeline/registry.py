"""All stages, and what follows from them for a plan: names, params, fingerprints, rules.

The canonical JSON of a stage is the one param of its rules, so Snakemake sees any change, also two numbers swapped. Its hash,
the fingerprint, is noted at the end of every file, so a change is seen without Snakemake's metadata too.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectomake.errors import ConfigError
from connectomake.layers.records import WITHIN
from connectomake.pipeline.affinity import Affinity
from connectomake.pipeline.agglomeration import Agglomeration
from connectomake.pipeline.base import Rule, Stage
from connectomake.pipeline.components import Components
from connectomake.pipeline.evaluation import Contingency, Curve, Evaluation
from connectomake.pipeline.ground_truth import GroundTruth
from connectomake.pipeline.image import Image
from connectomake.pipeline.infos import Infos
from connectomake.pipeline.measures import Measures
from connectomake.pipeline.merge import Merge
from connectomake.pipeline.meshes import Fragments, Meshes
from connectomake.pipeline.objects import Objects
from connectomake.pipeline.pyramid import Pyramid
from connectomake.pipeline.reports import Reports
from connectomake.pipeline.segment_table import SegmentTable
from connectomake.pipeline.segmentation import Segmentation
from connectomake.pipeline.skeletons import Traces, WholeSkeletons
from connectomake.planning.plan import Plan

STAGES: tuple[type[Stage], ...] = (
    Image, Affinity, SegmentTable, Components, Merge, Agglomeration, Segmentation, Measures, Traces, WholeSkeletons, Objects,
    Fragments, Meshes, GroundTruth, Contingency, Evaluation, Curve, Pyramid, Infos, Reports,
)  # fmt: skip
"""Every kind of stage, in the order in which they are run."""
RULES: dict[str, tuple[type[Stage], type[Rule[Any]]]] = {rule.name: (stage, rule) for stage in STAGES for rule in stage.rules}
"""The rules of the workflow by name, each with its stage."""


@dataclass(frozen=True, eq=False)
class Stages:
    """The stages of a plan.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: Plan

    @functools.cached_property
    def every(self) -> dict[str, Stage]:
        """Every stage that a plan can have, enabled or not, by name; those of further thresholds last."""
        found = [(i, stage) for kind in STAGES for i, stage in enumerate(kind(self.plan, v) for v in kind.variants(self.plan))]
        first = [stage for i, stage in found if i == 0 or stage.wildcard != "at"]
        further = sorted(((i, stage) for i, stage in found if i and stage.wildcard == "at"), key=lambda pair: pair[0])
        return {stage.name: stage for stage in (*first, *(stage for _, stage in further))}

    @functools.cached_property
    def enabled(self) -> list[Stage]:
        """The stages that this plan runs, in order, with infos and reports."""
        return [stage for stage in self.every.values() if stage.enabled]

    @functools.cached_property
    def names(self) -> list[str]:
        """The stages that this plan runs and whose files have their fingerprint, in order."""
        return [stage.name for stage in self.enabled if stage.listed]

    def stage(self, name: str) -> Stage:
        """Return a stage.

        Raises
        ------
        ConfigError
            If there is none of this name.
        """
        try:
            return self.every[name]
        except KeyError:
            raise ConfigError(f"there is no stage {name!r}; stages are {', '.join(self.every)}") from None

    def base(self, stage: str) -> str:
        """Return a stage's name without a further threshold: ``segmentation`` of ``segmentation_0.35``."""
        found = self.stage(stage)
        return found.base if found.wildcard == "at" else found.name

    @functools.cache  # noqa: B019  (one plan lives as long as the process)
    def param(self, stage: str) -> str:
        """Return the canonical JSON of all that a stage's result depends on; of reports, of their own settings only."""
        return self.stage(stage).param()

    @functools.cache  # noqa: B019
    def fingerprint(self, stage: str) -> str:
        """Return the hash of a stage's param."""
        return self.stage(stage).fingerprint()

    def record(self, stage: str, **fields: Any) -> dict[str, Any]:
        """Return what is to be noted at the end of a stage's files; the writer adds which file it is."""
        from connectomake import __version__

        known = {"stage": stage, "fingerprint": self.fingerprint(stage), "connectomake": __version__}
        return {**known, WITHIN: self.plan.outdir, **fields}

    def rules(self) -> Iterator[Rule[Any]]:
        """Yield every rule that this plan runs, once for each stage that it serves."""
        for stage in self.enabled:
            yield from (rule for rule in (kind(stage) for kind in stage.rules) if rule.enabled)

    @functools.cache  # noqa: B019
    def _rule(self, name: str, variant: str) -> Rule[Any]:
        stage, rule = RULES[name]
        return rule(stage(self.plan, variant))

    def rule(self, name: str, wildcards: Any = None) -> Rule[Any]:
        """Return a rule, of the variant of its stage that a job's wildcards name.

        Raises
        ------
        ConfigError
            If there is none of this name, or no such variant.
        """
        if name not in RULES:
            raise ConfigError(f"there is no rule {name!r}; rules are {', '.join(RULES)}")
        stage = RULES[name][0]
        variants = stage.variants(self.plan)
        variant = str(getattr(wildcards, stage.wildcard, variants[0])) if stage.wildcard else ""
        if variant not in variants:
            raise ConfigError(f"rule {name} has no {stage.wildcard} {variant!r}; there are: {', '.join(map(repr, variants))}")
        return self._rule(name, variant)
