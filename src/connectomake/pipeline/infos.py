"""The info of every layer, of the meshes and of the skeletons: what readers of precomputed ask for first."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from connectomake.pipeline import checks
from connectomake.pipeline.base import Inputs, Rule, Stage
from connectomake.planning.infos import MESH_LAYER, info_text
from connectomake.planning.skeletons import LAYER as SKELETON_LAYER
from connectomake.planning.skeletons import Skeletons

if TYPE_CHECKING:
    from connectomake.pipeline.job import Job


class InfoRule(Rule[str]):
    """Describe a layer to Neuroglancer and other readers of precomputed."""

    name = "info"
    final = ("info",)
    beside = ("info",)

    def items(self) -> Iterator[str]:
        plan = self.plan
        always = {"components", "ground_truth", *(f"segmentation{suffix}" for suffix in plan.thresholds)}
        yield from (name for name in plan.layers if name in always or plan.keeps(name))
        if plan.meshes_enabled:
            yield MESH_LAYER
        if Skeletons(plan).enabled:
            yield SKELETON_LAYER

    def count(self) -> int:
        return len(list(self.items()))

    def parse(self, wildcards: Any) -> str:
        return str(wildcards.layer)

    def inputs(self, item: str) -> Inputs:
        """Return nothing: an info follows from the plan."""
        return {}

    def outputs(self, item: str) -> dict[str, str]:
        return {"info": self.paths.info(item)}

    def content(self, item: str) -> str:
        """Return the info's text."""
        return info_text(self.plan, item)

    def look(self, name: str, item: str) -> Callable[[str], Any]:
        return partial(checks.info, self.plan, item)

    def work(self, job: "Job", item: str) -> None:
        from connectomake.atomic import write_text

        write_text(job.output("info"), self.content(item))


class Infos(Stage):
    """Infos of layers."""

    base, version, rules = "info", 1, (InfoRule,)
    listed = False

    def upstream(self) -> list[Stage]:
        return []

    def reads(self) -> dict[str, Any]:
        return {}
