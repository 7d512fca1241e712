# Requires: common.smk. Makes: the input function of each rule: it checks the wildcards and names the files that the job reads.
from connectomake.planning.infos import info_text

NAMES_ALL = HEAD or PROVIDER


def first_of(names, first):
    """Files that a script names itself: Snakemake gets all on the head, or where it must bring them, else the first only.

    The start of a job that reads a file of each of 16,000 nodes would take longer than the job. The head has seen that all are
    there.
    """
    return names() if NAMES_ALL else [first()]


@signed
def image_inputs(wildcards):
    block = block_of(wildcards, "image")
    remake_if_stale("image", targets.shard("image", block))
    return []


@signed
def affinity_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale("affinity", targets.shard("affinity", block))
    return targets.affinity_inputs(block)


@signed
def components_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale(
        "components",
        targets.shard("components", block),
        targets.tables("components", block),
    )
    return targets.components_inputs(block)


@signed
def merge_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale("merge", targets.merge(level, node))
    return targets.merge_inputs(level, node)


@signed
def lookup_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale("merge", targets.lookup(level, node))
    return targets.lookup_inputs(level, node)


@signed
def agglomerate_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale(
        f"agglomeration{wildcards.at}", targets.agglomerate(level, node, wildcards.at)
    )
    return targets.agglomerate_inputs(level, node, wildcards.at)


@signed
def assign_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale(
        f"agglomeration{wildcards.at}", targets.assign(level, node, wildcards.at)
    )
    return targets.assign_inputs(level, node, wildcards.at)


@signed
def history_inputs(wildcards):
    remake_if_stale(f"agglomeration{wildcards.at}", targets.history(wildcards.at))
    at = wildcards.at
    return first_of(lambda: targets.all_closed(at), lambda: targets.first_closed(at))


@signed
def segmentation_inputs(wildcards):
    block = block_of(wildcards)
    layer = f"segmentation{wildcards.at}"
    remake_if_stale(layer, targets.shard(layer, block), targets.tables(layer, block))
    return targets.segmentation_inputs(block, wildcards.at)


@signed
def measures_inputs(wildcards):
    group = plan.measure_tree.parse(0, wildcards.node)
    remake_if_stale("measures", targets.measures(group))
    return targets.group_inputs(plan.measure_tree, group)


@signed
def fragments_inputs(wildcards):
    group = plan.mesh_tree.parse(0, wildcards.node)
    remake_if_stale("fragments", targets.pack(0, group))
    return targets.fragments_inputs(group)


@signed
def gather_inputs(wildcards):
    level = int(wildcards.level)
    pack = plan.mesh_tree.parse(level, wildcards.node)
    remake_if_stale("fragments", targets.pack(level, pack))
    return targets.gather_inputs(level, pack)


@signed
def meshes_inputs(wildcards):
    number = targets.parse_mesh_shard(wildcards.number)
    remake_if_stale("meshes", targets.mesh_shard(number))
    return targets.top_packs()


@signed
def traces_inputs(wildcards):
    group = skeletons.tree.parse(0, wildcards.node)
    remake_if_stale("traces", skeletons.traces(0, group))
    return [targets.shard("segmentation", b) for b in skeletons.blocks(group)]


@signed
def gather_traces_inputs(wildcards):
    level = int(wildcards.level)
    pack = skeletons.tree.parse(level, wildcards.node)
    remake_if_stale("traces", skeletons.traces(level, pack))
    return skeletons.gather_inputs(level, pack)


@signed
def skeletons_inputs(wildcards):
    number = skeletons.parse(wildcards.number)
    remake_if_stale("skeletons", skeletons.shard(number), skeletons.lengths(number))
    return skeletons.top_traces()


@signed
def info_inputs(wildcards):
    path = f"{plan.outdir}/{wildcards.layer}/info"
    if HEAD and is_info_otherwise(wildcards.layer, path):
        workflow.dag.forcefiles.add(stored_name(path))
    return []


@signed
def ground_truth_inputs(wildcards):
    block = block_of(wildcards, "ground_truth")
    remake_if_stale("ground_truth", targets.shard("ground_truth", block))
    return []


@signed
def contingency_inputs(wildcards):
    node = plan.octree.parse(1, wildcards.node)
    remake_if_stale("contingency", targets.contingency(node))
    return targets.contingency_inputs(node)


@signed
def evaluation_inputs(wildcards):
    results = targets.evaluation()
    remake_if_stale(
        "evaluation", results["table"], others=[results["scores"], results["worst"]]
    )
    return first_of(targets.contingencies, targets.first_contingency)


@signed
def curve_inputs(wildcards):
    remake_if_stale(
        "curve", targets.curve()["picture"], others=[targets.curve()["table"]]
    )
    return targets.curve_inputs()


@signed
def pyramid_inputs(wildcards):
    layer = wildcards.layer
    scale, block = scales.parse(layer, wildcards.scale, wildcards.block)
    remake_if_stale(f"pyramid_{layer}", scales.shard(layer, scale, block))
    return scales.inputs(layer, scale, block)


@signed
def thumbnail_inputs(wildcards):
    layer = wildcards.layer
    remake_if_stale(f"pyramid_{layer}", scales.thumbnail(layer))
    return scales.thumbnail_inputs(layer)


def pyramid_depends_on(wildcards):
    return stages.param(f"pyramid_{wildcards.layer}")


@signed
def objects_inputs(wildcards):
    remake_if_stale("objects", targets.objects, others=[targets.properties])
    return targets.objects_inputs() if NAMES_ALL else targets.first_objects_inputs()


@signed
def report_run_inputs(wildcards):
    remake_if_stale(
        "report", targets.reports["page"], others=[targets.reports["table"]]
    )
    return first_of(targets.final, lambda: targets.infos()[0])


@signed
def report_blocks_inputs(wildcards):
    remake_if_stale("report", targets.reports["blocks"])
    return first_of(targets.final, lambda: targets.infos()[0])


@signed
def report_objects_inputs(wildcards):
    remake_if_stale("report", targets.reports["objects"])
    return first_of(
        lambda: [targets.mesh_info, targets.objects, *targets.mesh_shards()],
        lambda: targets.mesh_info,
    )


@signed
def report_slices_inputs(wildcards):
    remake_if_stale("report", targets.reports["slices"])
    from connectomake.reporting.pictures import section_blocks

    blocks = section_blocks(plan, plan.config["report"]["slices"])
    return [targets.shard("segmentation", block) for block in blocks]
