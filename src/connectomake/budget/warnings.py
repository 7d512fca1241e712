"""Warnings of what is allowed but expensive: job starts, halos, files in a folder, memory near its limit."""

from collections.abc import Iterator

from connectomake.budget.forecast import Forecast
from connectomake.geometry import as_vec
from connectomake.planning.plan import Plan

MANY_JOBS = 1000
"""With fewer jobs their start takes minutes at most."""
MOST_FILES = 200_000
"""In one folder: listing more takes minutes on file systems of clusters."""
FILES_OF_A_BLOCK = 2
NEAR_LIMIT = 0.9


def cost_warnings(plan: Plan, found: Forecast) -> Iterator[str]:
    """Yield what is legal but costs much, one sentence each."""
    started, worked = found.jobs * found.start, sum(r.seconds for r in found.rules)
    if found.jobs > MANY_JOBS and started > worked:
        share = 100 * started / (started + worked)
        yield f"starting the {found.jobs:,} jobs takes {share:.0f} % of their time; larger blocks have fewer jobs"
    yield from _halo(plan)
    files = FILES_OF_A_BLOCK * plan.grid.count
    if files > MOST_FILES:
        yield f"a folder of a layer will hold {files:,} files, which file systems of clusters list slowly; take larger blocks"


def _halo(plan: Plan) -> Iterator[str]:
    if plan.inference is None:
        return
    middle = as_vec([(a + b) // 2 for a, b in zip(plan.roi.start, plan.roi.stop, strict=True)])
    block = plan.grid.id_of_voxel(middle)
    read, own = plan.read_box(block).volume, plan.grid.box(block).volume
    if read > 2 * own:
        yield f"a block reads {read / own:.1f} times its own voxels, more halo than body; take larger blocks"


def near_limit(memory: float, limit: float | None, rule: str) -> str | None:
    """Return a warning if the largest job nearly takes all that it may; else None."""
    if limit is None or memory <= NEAR_LIMIT * limit:
        return None
    return (
        f"{rule} needs {100 * memory / limit:.0f} % of --max-memory by estimate, little to spare: a job that needs more is "
        "killed and made again with twice as much"
    )
