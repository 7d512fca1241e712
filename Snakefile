# connectomake: from an EM image to a segmentation with meshes, every block a file target.
#
#   snakemake --profile profiles/local                               # the config in config.yaml
#   snakemake --profile profiles/local --configfile configs/fib25.yaml
#   snakemake --profile profiles/local -n                            # what would be done
#   snakemake --profile profiles/local kept                          # kept intermediates that are missing, too
from snakemake.utils import min_version

min_version("9.0")

if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/prefork.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/cluster.smk"


localrules:
    all,
    kept,
    reports,
    info,


rule all:
    """Segmentation, object table and meshes of the whole region of interest."""
    input:
        lambda _: targets.final(),
        targets.wanted_reports(),


rule reports:
    """Pages and pictures for `snakemake --report`."""
    input:
        list(targets.reports.values()),


rule kept:
    """All of that, and every kept intermediate: makes those that were added to `keep` after the run."""
    input:
        lambda _: targets.kept(),


include: "workflow/rules/image.smk"
include: "workflow/rules/affinity.smk"
include: "workflow/rules/components.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/agglomeration.smk"
include: "workflow/rules/segmentation.smk"
include: "workflow/rules/objects.smk"
include: "workflow/rules/meshes.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/pyramid.smk"
include: "workflow/rules/info.smk"
include: "workflow/rules/report.smk"
