# connectomake: from an EM image to a segmentation with meshes, every block a file target.
#   snakemake --profile profiles/local                               # the config in config.yaml
#   snakemake --profile profiles/local --configfile configs/fib25.yaml
#   snakemake --profile profiles/local -n                            # what would be done
from snakemake.utils import min_version

min_version("9.0")

if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/setup.smk"


localrules:
    all,
    kept,


rule all:
    """Segmentation, object table and meshes of the whole region of interest."""
    input:
        lambda _: targets.final(),
        targets.wanted_reports(),


rule kept:
    """All of that, and every kept intermediate: asked for by name, makes those that were added to `keep` after the run."""
    input:
        lambda _: targets.kept(),
        targets.wanted_reports(),


include: "workflow/rules/image.smk"
include: "workflow/rules/affinity.smk"
include: "workflow/rules/segment_table.smk"
include: "workflow/rules/components.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/agglomeration.smk"
include: "workflow/rules/segmentation.smk"
include: "workflow/rules/objects.smk"
include: "workflow/rules/meshes.smk"
include: "workflow/rules/skeletons.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/pyramid.smk"
include: "workflow/rules/info.smk"
include: "workflow/rules/report.smk"
