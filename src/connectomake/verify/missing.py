"""Sentences on files that are not there, or dated in the future."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from connectomake.pipeline.expected import Expected
from connectomake.pipeline.targets import Targets
from connectomake.planning.dates import future_text, in_future
from connectomake.planning.plan import Plan
from connectomake.verify.faults import Fault

FEW = 4


def missing_faults(
    plan: Plan, missing: Collection[Expected], files: Collection[Expected], command: Callable[[str], str]
) -> Iterator[Fault]:
    """Yield a fault per missing file, with one sentence for a stage of which nothing is there.

    A plain run makes what is asked for in the end. Intermediates whose products are there come back if the target ``kept``
    is asked for.
    """
    targets = Targets(plan)
    final, lost = {*targets.final(), *targets.wanted_reports()}, Counter(f.stage for f in missing)
    totals = Counter(f.stage for f in files)
    absent = {stage for stage, count in lost.items() if count == totals[stage] and count > FEW}
    said = set()
    for file in sorted(missing, key=lambda file: file.stage not in absent):
        text = ""
        if file.stage not in absent:
            way_out = command("" if file.path in final else "kept").strip()
            what = "is a link to a file that is not there" if Path(file.path).is_symlink() else "is missing"
            text = f"{file.path} {what}; `{way_out}` makes it"
        elif file.stage not in said:
            said.add(file.stage)
            way_out = command("" if final.issuperset(f.path for f in missing if f.stage == file.stage) else "kept").strip()
            text = f"all {lost[file.stage]:,} files of the stage {file.stage} are missing, such as {file.path}; run `{way_out}`"
        yield Fault(file.path, text, "missing")


def future_faults(paths: Collection[str], repair: str) -> Iterator[Fault]:
    """Yield a fault per file that is dated in the future, with one sentence for all."""
    dated = in_future(paths)
    for path in dated:
        yield Fault(path, future_text(dated, repair) if path == next(iter(dated)) else "", "future")
