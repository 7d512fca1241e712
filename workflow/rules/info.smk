# Requires: the plan only. Makes: the info of every layer, of the meshes and of the skeletons.


localrules:
    info,


rule info:
    """Describe a layer to Neuroglancer and other readers of precomputed."""
    input:
        inputs_of("info"),
    output:
        info=f"{plan.outdir}/{{layer}}/info",
    log:
        f"{plan.outdir}/logs/info/{{layer}}.log",
    wildcard_constraints:
        layer=one_of([*plan.layers, "segmentation/mesh", "segmentation/skeletons"]),
    conda:
        "../../envs/connectomake.yaml"
    params:
        stage=lambda wildcards: stages.rule("info").content(wildcards.layer),
    script:
        "../../scripts/job.py"
