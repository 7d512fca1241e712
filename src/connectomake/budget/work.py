"""Work of a rule, from which its time and bytes follow: voxels, voxels that the network sees, faces of blocks."""

from typing import TYPE_CHECKING, Any

from connectomake.geometry import BlockGrid, volume_of
from connectomake.pipeline.affinity import AffinityRule
from connectomake.pipeline.base import Rule
from connectomake.pipeline.evaluation import ContingencyRule
from connectomake.pipeline.ground_truth import GroundTruthRule
from connectomake.pipeline.image import ImageRule
from connectomake.pipeline.kinds import BlockRule, GatherRule
from connectomake.pipeline.pyramid import PyramidRule
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.reports import Reports
from connectomake.planning.scales import Scales

if TYPE_CHECKING:
    from connectomake.planning.plan import Plan


def rules_of(plan: "Plan") -> list[Rule[Any]]:
    """Return every rule of a run, once for each stage that it serves; reports where they belong to every run."""
    return [r for r in Stages(plan).rules() if not isinstance(r.stage, Reports) or r.stage.wanted]


def key_of(rule: Rule[Any]) -> str:
    """Return under which name a rule is measured: further thresholds of agglomeration are as the first one."""
    return f"{rule.name} {rule.stage.variant}" if rule.stage.wildcard == "layer" else rule.name


def job_counts(plan: "Plan") -> dict[str, int]:
    """Return the jobs of each rule of a run, in the order in which rules are run; nothing is listed."""
    found: dict[str, int] = {}
    for rule in rules_of(plan):
        found[rule.name] = found.get(rule.name, 0) + rule.count()
    return found


def time_units(rule: Rule[Any]) -> float:
    """Return what the time of all jobs of a rule follows from; of the network, the voxels that it sees, as often as seen."""
    plan = rule.plan
    if isinstance(rule, AffinityRule) and plan.inference is not None:
        passes = plan.inference.lattice(plan.roi).forward_passes(plan.block)
        return float(passes * volume_of(plan.inference.patch) * plan.inference.views) * inside(plan)
    return voxels_of(rule)


def voxels_of(rule: Rule[Any]) -> float:
    """Return the voxels that all jobs of a rule go over."""
    plan = rule.plan
    if isinstance(rule, ImageRule):
        return rule.layer.roi.volume * (rule.count() / rule.layer.grid.count)
    if isinstance(rule, BlockRule):
        return float(rule.layer.roi.volume)
    if isinstance(rule, PyramidRule):
        return float(sum(spec.roi.volume for spec in Scales(plan).specs(rule.layer)[1:]))
    if isinstance(rule, ContingencyRule):
        return float(plan.evaluation_box.volume)
    if isinstance(rule, GatherRule):
        return float(plan.roi.volume * rule.tree.top)
    return float(plan.roi.volume)


def byte_units(rule: Rule[Any], path: str) -> float:
    """Return what the bytes of an output of all jobs follow from: voxels; the region's surface, where tables hold faces."""
    if isinstance(rule, BlockRule) and path.endswith(".h5"):
        z, y, x = rule.layer.roi.shape
        return float(2 * (z * y + z * x + y * x))
    return voxels_of(rule) * (1.0 if isinstance(rule, ImageRule | GroundTruthRule) else inside(rule.plan))


def inside(plan: "Plan") -> float:
    """Return the part of the blocks that do not lie wholly outside the mask: of the others nothing is computed or stored."""
    return 1.0 if plan.mask is None else 1 - plan.mask.count / plan.grid.count


def seams_of(rule: Rule[Any]) -> float:
    """Return the voxels in the faces between blocks that all jobs of a rule go over, where tables hold something for each."""
    return seams(rule.layer.grid if isinstance(rule, BlockRule) else rule.plan.grid)


def seams(grid: BlockGrid) -> float:
    """Return the voxels in the faces between the blocks of a grid."""
    area = volume_of(grid.roi.shape)
    return float(sum(area // n * (blocks - 1) for n, blocks in zip(grid.roi.shape, grid.shape, strict=True) if n))
