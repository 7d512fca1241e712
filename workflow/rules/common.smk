# Requires: config. Makes: plan, targets, stages, demands, and the few helpers that every rule uses.
#
# The head resolves config and source into the plan, a small file named by the config's hash, and Snakemake ships it to every
# job as a configfile. A job never opens the source while it parses, and fails at once if its plan is missing.
from functools import cache, partial

from connectomake.errors import ConnectomakeError
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import plan_path, prepare_plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import Skeletons
from connectomake.pipeline.demands import REMOTE_MB, Demands
from connectomake.pipeline.registry import RULES, Stages
from connectomake.pipeline.targets import Targets

HEAD = workflow.is_main_process

try:
    PLAN = plan_path(config)
    warning = prepare_plan(config) if HEAD else None
except ConnectomakeError as error:
    raise WorkflowError(str(error)) from None
if warning:
    logger.warning(warning)


configfile: PLAN


if "plan" not in config:
    raise WorkflowError(
        f"the plan {PLAN} is missing; start snakemake on the head again, it writes the plan"
    )

plan = Plan.from_json(config["plan"])
targets, stages, demands = Targets(plan), Stages(plan), Demands(plan)
scales, skeletons = Scales(plan), Skeletons(plan)
SEGMENTATION_SCALE = targets.scale


include: "storage.smk"


wildcard_constraints:
    block="[0-9a-f]+",
    node="[0-9a-f]+",
    level="[0-9]+",
    number="[0-9a-f]+",
    at=f"(?:{'|'.join(at.replace('.', '[.]') for at in plan.thresholds)})",


def intermediate(name, path):
    """A file that is deleted when no job needs it any more, unless the config keeps it."""
    return path if plan.keeps(name) else temp(path)


def around_script(attempt):
    """Memory in MB of the Snakemake processes around a script on a cluster."""
    # asked for when a job is scheduled: Snakemake does not know where jobs run while it reads the rules
    return 0 if workflow.local_exec else REMOTE_MB << (attempt - 1)


def memory(name):
    """Memory in MB, doubled at each retry; of jobs that read tables it follows from these, as soon as they are there."""
    kind = RULES[name][1]
    if kind.varies:
        return with_params(
            lambda wildcards, attempt: demands.memory(
                name, attempt, item=stages.rule(name, wildcards).parse(wildcards)
            )
            + around_script(attempt)
        )
    if kind.held_per_byte is not None:
        return same_at_first(
            with_params(
                lambda wildcards, input, attempt: demands.memory(name, attempt, input)
                + around_script(attempt)
            )
        )
    needed = cache(partial(demands.memory, name))
    return same_for_all(
        with_params(lambda wildcards, attempt: needed(attempt) + around_script(attempt))
    )


def disk(name):
    """Disk in MB, doubled at each retry: what a job reads and makes, and puts aside of tables of the whole run."""
    if RULES[name][1].reads_all:
        return with_params(
            lambda wildcards, input, attempt: demands.disk(name, attempt, input)
        )
    needed = cache(partial(demands.disk, name))
    return same_for_all(with_params(lambda wildcards, attempt: needed(attempt)))


def minutes(name):
    """Time in minutes, doubled at each retry; of jobs that read tables it follows from these, as soon as they are there."""
    if RULES[name][1].seconds_per_mb is not None:
        return same_at_first(
            with_params(
                lambda wildcards, input, attempt: demands.minutes(name, attempt, input)
            )
        )
    needed = cache(partial(demands.minutes, name))
    return same_for_all(with_params(lambda wildcards, attempt: needed(attempt)))


def one_of(names):
    """A pattern that matches these names only."""
    return "|".join(name.replace(".", "[.]") for name in names) or "none"
