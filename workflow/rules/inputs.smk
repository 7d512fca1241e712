# Requires: common.smk. Makes: the input function of every rule, and what its files depend on, from the stage's declaration in
# connectomake.pipeline.
from connectomake.pipeline.job import all_of, first_only

NAMES_ALL = HEAD or PROVIDER


def inputs_of(name):
    """The input function of a rule: it checks the wildcards and names the files that the job reads.

    Where it reads files of the whole run, Snakemake gets all on the head, or where it must bring them, else the first only. The
    start of a job that reads a file of each of 16,000 nodes would take longer than the job. The head has seen that all are there.
    """

    @with_params
    def inputs(wildcards):
        made_by = stages.rule(name, wildcards)
        item = made_by.parse(wildcards)
        if HEAD:
            remake_if_otherwise(made_by, item)
        found = made_by.inputs(item)
        few = made_by.reads_all and not NAMES_ALL
        return first_only(found) if few else all_of(found)

    return unpack(inputs)


def remake_if_otherwise(rule, item):
    """Force the job of files that are damaged or were made with other settings, where Snakemake's own metadata may be missing."""
    outputs, text = rule.outputs(item), rule.content(item)
    if text is not None:
        stale = [path for path in outputs.values() if is_other_text(path, text)]
    else:
        fingerprint = stages.fingerprint(rule.stage.name)
        paths = [path for name, path in outputs.items() if name not in rule.beside]
        others = [outputs[name] for name in rule.beside]
        otherwise = any(is_made_otherwise(path, fingerprint, others) for path in paths)
        stale = paths if otherwise else []
    workflow.dag.forcefiles.update(map(stored_name, stale))


def depends_on(name):
    """The one param of a rule: the canonical JSON of all that its result depends on."""
    return with_params(
        lambda wildcards: stages.param(stages.rule(name, wildcards).stage.name)
    )
