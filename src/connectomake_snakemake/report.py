"""Before ``snakemake --report``: a check that what it shows is there, and no password in it."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from snakemake.exceptions import WorkflowError

from connectomake.credentials import redacted
from connectomake.pipeline.targets import Targets
from connectomake_snakemake.replaced import replace


def before_report(targets: Targets, exists: Callable[[str], bool]) -> None:
    """Check and prepare a report, if this run of Snakemake is to make one.

    Parameters
    ----------
    targets
        Of the run.
    exists
        Snakemake's: whether a file of the run is there.

    Raises
    ------
    WorkflowError
        If ``--report`` would not find what the whole run shows, or could show a password.
    """
    if not any(argument.split("=")[0] == "--report" for argument in sys.argv):
        return
    if not any(argument.startswith(f"{targets.plan.outdir}/") for argument in sys.argv):  # else it is of a part of the run
        _check(targets, exists)
    hide_passwords()


def _check(targets: Targets, exists: Callable[[str], bool]) -> None:
    pages: Iterable[str] = targets.reports.values() if "reports" in sys.argv else ()
    lacking = [path for path in (*targets.reported(), *pages) if not exists(path)]
    if lacking:
        raise WorkflowError(
            f"{lacking[0]} is not there yet, which the report shows ({len(lacking)} such file(s)); make them first: the "
            "same command with the target reports and without --report, then this one again"
        )


def hide_passwords() -> None:
    """Show no password or token in the config that a report shows.

    Raises
    ------
    WorkflowError
        If this Snakemake reads configs in another way.
    """

    def reading_hidden(own: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def read(record: Any, configfile: Any) -> None:
            own(record, configfile)
            record.source = redacted(record.source)

        return read

    replace({"snakemake.report:ConfigfileRecord.__post_init__": reading_hidden}, _refuse)


def _refuse(fault: str) -> NoReturn:
    raise WorkflowError(f"a report could show passwords: {fault}")
