# Requires: common.smk. Makes: the input function of each rule: it checks the wildcards and names the files that the job reads.
from connectomake.atomic import canonical_json
from connectomake.planning.infos import info_text


def image_inputs(wildcards):
    block = block_of(wildcards, "image")
    remake_if_stale("image", targets.shard("image", block))
    return []


def affinity_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale("affinity", targets.shard("affinity", block))
    return targets.affinity_inputs(block)


def components_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale(
        "components",
        targets.shard("components", block),
        targets.tables("components", block),
    )
    return targets.components_inputs(block)


def merge_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale("merge", targets.merge(level, node))
    return targets.merge_inputs(level, node)


def lookup_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale("merge", targets.lookup(level, node))
    return targets.lookup_inputs(level, node)


def agglomerate_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale("agglomeration", targets.agglomerate(level, node))
    return targets.agglomerate_inputs(level, node)


def assign_inputs(wildcards):
    level, node = node_of(wildcards)
    remake_if_stale("agglomeration", targets.assign(level, node))
    return targets.assign_inputs(level, node)


def history_inputs(wildcards):
    remake_if_stale("agglomeration", targets.history)
    return targets.all_closed()


def segmentation_inputs(wildcards):
    block = block_of(wildcards)
    remake_if_stale(
        "segmentation",
        targets.shard("segmentation", block),
        targets.tables("segmentation", block),
    )
    return targets.segmentation_inputs(block)


def measures_inputs(wildcards):
    group = plan.mesh_tree.parse(0, wildcards.node)
    remake_if_stale("measures", targets.measures(group))
    return targets.pack_inputs(group)


def fragments_inputs(wildcards):
    group = plan.mesh_tree.parse(0, wildcards.node)
    remake_if_stale("fragments", targets.pack(0, group))
    return targets.fragments_inputs(group)


def gather_inputs(wildcards):
    level = int(wildcards.level)
    pack = plan.mesh_tree.parse(level, wildcards.node)
    remake_if_stale("fragments", targets.pack(level, pack))
    return targets.gather_inputs(level, pack)


def meshes_inputs(wildcards):
    number = targets.parse_mesh_shard(wildcards.number)
    remake_if_stale("meshes", targets.mesh_shard(number))
    return targets.top_packs()


def info_inputs(wildcards):
    path = f"{plan.outdir}/{wildcards.layer}/info"
    if HEAD and is_info_otherwise(wildcards.layer, path):
        workflow.dag.forcefiles.add(stored_name(path))
    return []


def ground_truth_inputs(wildcards):
    block = block_of(wildcards, "ground_truth")
    remake_if_stale("ground_truth", targets.shard("ground_truth", block))
    return []


def contingency_inputs(wildcards):
    node = plan.octree.parse(1, wildcards.node)
    remake_if_stale("contingency", targets.contingency(node))
    return targets.contingency_inputs(node)


def evaluation_inputs(wildcards):
    remake_if_stale("evaluation", targets.evaluation()["table"])
    return targets.contingencies()


def pyramid_inputs(wildcards):
    layer = wildcards.layer
    scale, block = scales.parse(layer, wildcards.scale, wildcards.block)
    remake_if_stale(f"pyramid_{layer}", scales.shard(layer, scale, block))
    return scales.inputs(layer, scale, block)


def thumbnail_inputs(wildcards):
    layer = wildcards.layer
    remake_if_stale(f"pyramid_{layer}", scales.thumbnail(layer))
    return scales.thumbnail_inputs(layer)


def pyramid_depends_on(wildcards):
    return stages.param(f"pyramid_{wildcards.layer}")


def objects_inputs(wildcards):
    remake_if_stale("objects", targets.objects)
    return targets.objects_inputs()


def report_param(wildcards):
    """What the pages depend on beside their inputs."""
    return canonical_json({"report": plan.config["report"], "version": 1})


def report_slices_inputs(wildcards):
    from connectomake.reporting.pictures import section_blocks

    blocks = section_blocks(plan, plan.config["report"]["slices"])
    return [targets.shard("segmentation", block) for block in blocks]
