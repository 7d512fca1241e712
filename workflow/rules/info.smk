# Requires: the plan only. Makes: the info of every layer and of the meshes.
from connectomake.planning.infos import info_text, is_info_stale


def info_inputs(wildcards):
    path = f"{plan.outdir}/{wildcards.layer}/info"
    if HEAD and is_info_stale(plan, wildcards.layer, path):
        workflow.dag.forcefiles.add(path)
    return []


rule info:
    """Describe a layer to Neuroglancer and other readers of precomputed."""
    input:
        info_inputs,
    output:
        info=f"{plan.outdir}/{{layer}}/info",
    log:
        f"{plan.outdir}/logs/info/{{layer}}.log",
    wildcard_constraints:
        layer="image|affinity|components|segmentation|segmentation/mesh",
    params:
        stage=lambda wildcards: info_text(plan, wildcards.layer),
    script:
        "../../scripts/info.py"
