"""Every file that a whole run leaves, with the way to look into it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectomake.layers import LayerSpec
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import LAYER as SKELETON_LAYER
from connectomake.planning.skeletons import Skeletons
from connectomake.planning.targets import Targets
from connectomake.verify import inspect

STAGES = (
    "image", "affinity", "components", "merge", "agglomeration", "segmentation", "measures", "traces", "skeletons", "objects",
    "fragments", "meshes", "ground_truth", "contingency", "evaluation", "curve", "pyramid_image",
    "pyramid_affinity", "pyramid_segmentation", "pyramid_ground_truth", "info", "report",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that should be there.

    Parameters
    ----------
    stage
        One of `STAGES`; with the suffix of a further threshold of agglomeration, if it is of one.
    path
        The file.
    look
        Opens the file and raises an error if it is damaged; no other file is needed.
    recorded
        Whether the file ends in a record with its stage's fingerprint.
    layer, block
        Of shards.
    spec
        Of shards of a coarser scale.
    beside
        The file whose record holds the checksum of this one, which has none of its own.
    compare
        Compares the file with others and raises an error that names it if it does not fit.
    against
        Those others; they must be whole for it.
    needed
        Whether it must be there; what was asked for by name, such as a report, is looked at if it is.
    """

    stage: str
    path: str
    look: Callable[[str], Any]
    recorded: bool = True
    layer: str | None = None
    block: int = 0
    spec: LayerSpec | None = None
    beside: str | None = None
    compare: Callable[[str], Any] | None = None
    against: tuple[str, ...] = ()
    needed: bool = True


def expected(plan: Plan) -> Iterator[Expected]:
    """Yield every file that should lie there after a whole run: those of ``Targets.kept()``, in order of the stages."""
    targets = Targets(plan)
    for name in ("image", "affinity"):
        if name in plan.layers and plan.keeps(name):
            yield from _shards(plan, targets, name)
    yield from _shards(plan, targets, "components")
    for block in plan.grid.ids:
        yield Expected("components", targets.tables("components", block), partial(inspect.components, plan, block))
    yield from _merge(plan, targets)
    if plan.agglomerates:
        yield from _agglomeration(plan, targets)
    for layer in targets.segmentations():
        yield from _shards(plan, targets, layer)
        for block in plan.grid.ids:
            yield Expected(layer, targets.tables(layer, block), partial(inspect.halo, plan, block))
    for path in targets.all_measures():
        yield Expected("measures", path, inspect.measures)
    if Skeletons(plan).enabled:
        yield from _skeletons(Skeletons(plan))
    yield Expected("objects", targets.objects, inspect.objects)
    yield Expected("objects", targets.properties, inspect.properties, recorded=False, beside=targets.objects)
    if plan.meshes_enabled:
        yield from _meshes(plan, targets)
    if plan.truth is not None:
        yield from _evaluation(plan, targets)
    yield from _pyramids(Scales(plan))
    yield from _infos(plan, targets)
    yield from _reports(targets)


def _reports(targets: Targets) -> Iterator[Expected]:
    wanted, reports = bool(targets.wanted_reports()), targets.reports
    for name, path in reports.items():
        look = {"page": inspect.text, "table": inspect.csv}.get(name, inspect.picture)
        beside = reports["page"] if name == "table" else None
        yield Expected("report", path, look, recorded=beside is None, beside=beside, needed=wanted)


def _pyramids(scales: Scales) -> Iterator[Expected]:
    for layer in scales.layers:
        for i, spec in enumerate(scales.specs(layer)[1:], start=1):
            for block in spec.grid.ids:
                look = partial(inspect.shard, spec, block)
                yield Expected(f"pyramid_{layer}", scales.shard(layer, i, block), look, spec=spec, block=block)
        yield Expected(f"pyramid_{layer}", scales.thumbnail(layer), inspect.picture)


def _evaluation(plan: Plan, targets: Targets) -> Iterator[Expected]:
    if "ground_truth" in plan.layers:
        yield from _shards(plan, targets, "ground_truth")
    for path in targets.contingencies():
        yield Expected("contingency", path, inspect.contingency)
    results = targets.evaluation()
    yield Expected("evaluation", results["table"], inspect.contingency)
    table = results["table"]
    for name, look in (("scores", inspect.json_text), ("worst", inspect.csv)):
        compare = partial(getattr(inspect, name), plan, table)
        yield Expected("evaluation", results[name], look, False, beside=table, compare=compare, against=(table,))
    if plan.curved:
        curve, inputs = targets.curve(), targets.curve_inputs()
        yield Expected("curve", curve["picture"], inspect.picture)
        compare = partial(inspect.curve, plan, inputs)
        against = tuple(inputs.values())
        yield Expected("curve", curve["table"], inspect.csv, False, beside=curve["picture"], compare=compare, against=against)


def _shards(plan: Plan, targets: Targets, layer: str) -> Iterator[Expected]:
    spec = plan.layers[layer]
    for block in spec.grid.ids:
        look = partial(inspect.shard, spec, block)
        yield Expected(layer, targets.shard(layer, block), look, layer=layer, block=block)


def _merge(plan: Plan, targets: Targets) -> Iterator[Expected]:
    for level, node in targets.nodes():
        yield Expected("merge", targets.merge(level, node), partial(inspect.passed, plan, level, node))
    for level, node in targets.nodes():
        yield Expected("merge", targets.lookup(level, node), partial(inspect.lookup, plan, level, node))


def _agglomeration(plan: Plan, targets: Targets) -> Iterator[Expected]:
    for at in plan.thresholds:
        stage = f"agglomeration{at}"
        for level, node in targets.nodes():
            look = partial(inspect.passed, plan, level, node)
            yield Expected(stage, targets.agglomerate(level, node, at), look)
            yield Expected(stage, targets.assign(level, node, at), partial(inspect.lookup, plan, level, node))
        yield Expected(stage, targets.history(at), inspect.history)


def _meshes(plan: Plan, targets: Targets) -> Iterator[Expected]:
    tree = plan.mesh_tree
    if plan.keeps("fragments"):
        for level in range(tree.top + 1):
            for pack in tree.packs(level):
                yield Expected("fragments", targets.pack(level, pack), partial(inspect.pack, plan))
    for path in targets.mesh_shards():
        yield Expected("meshes", path, partial(inspect.mesh_shard, plan))


def _skeletons(skeletons: Skeletons) -> Iterator[Expected]:
    if skeletons.plan.keeps("traces"):
        for path in skeletons.all_traces():
            yield Expected("traces", path, inspect.tables)
    for number in skeletons.numbers:
        look, compare = partial(inspect.skeleton_shard, skeletons), partial(inspect.skeleton_lengths, skeletons, number)
        against = (skeletons.lengths(number),)
        yield Expected("skeletons", skeletons.shard(number), look, compare=compare, against=against)
        yield Expected("skeletons", skeletons.lengths(number), inspect.tables)


def _infos(plan: Plan, targets: Targets) -> Iterator[Expected]:
    for path in targets.infos():
        layer = path.removeprefix(f"{plan.outdir}/").removesuffix("/info")
        yield Expected("info", path, partial(inspect.info, plan, layer), recorded=False)
    if Skeletons(plan).enabled:
        path = Skeletons(plan).info
        yield Expected("info", path, partial(inspect.info, plan, SKELETON_LAYER), recorded=False)
    if plan.meshes_enabled:
        yield Expected("info", targets.mesh_info, partial(inspect.info, plan, "segmentation/mesh"), recorded=False)
