"""The parts of ``connectomake check`` and ``verify`` about the content of source and ground truth."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from connectomake.cli import common
from connectomake.errors import ConfigError
from connectomake.reporting.texts import bytes_text, counted

if TYPE_CHECKING:
    from connectomake.planning.content import Settled
    from connectomake.planning.plan import Plan
    from connectomake.verify.faults import Fault
    from connectomake.verify.source import Comparison

ANSWERS = ("", "same", "changed")


def checked_plan(config: str, deep: bool, source_is: str, here: bool) -> "Plan":
    """Return the plan of a config, and say what of its volumes has changed, and what edits would not be noticed.

    Parameters
    ----------
    config
        The config's file.
    deep
        Whether to read everything once.
    source_is
        What the user says of files that were written to and never read: "same", "changed" or nothing.
    here
        Whether results will lie on this disk.

    Raises
    ------
    ConfigError
        If `source_is` is neither, the config is wrong, or results could not be written.
    SourceError, ContentError
        See `connectomake.planning.resolve.resolve`.
    """
    from connectomake.planning.content import Rule
    from connectomake.planning.resolve import changes, check_writable, name_contents, sampled_plan

    if source_is not in ANSWERS:
        raise ConfigError(f"--source-is must be same or changed, got {source_is!r}")
    plan = sampled_plan(common.load(config))
    if here:
        check_writable(plan.outdir)
    plan, seen = name_contents(plan, Rule(plan.config["source"]["checksum_below"], deep, source_is))
    for text in (*changes(plan, seen), *_unseen(plan, seen)):
        print(f"! {text}")
    return plan


def _unseen(plan: "Plan", seen: "dict[str, Settled]") -> Iterator[str]:
    """Yield what edits of source and ground truth would not be noticed."""
    from connectomake.planning.resolve import place_key

    for info in filter(None, (plan.source, plan.truth)):
        found = seen[place_key(info)]
        if found.unseen:
            yield f"{info.path}: {found.unseen}; other edits are noticed by `check --deep` or `verify --deep --source` only"
        elif found.content is None:
            yield (
                f"{info.path} ({bytes_text(found.size)}) was never read in full: when one of its files is modified, a run asks "
                "whether it is the same; `connectomake check --deep` reads everything once, after which the run can tell"
            )


def compare_sources(config: str) -> "tuple[Plan, list[Comparison]]":
    """Read source and ground truth of an earlier run again, and return its plan and what they were found to hold.

    Parameters
    ----------
    config
        The config's file, or the folder of the results.

    Raises
    ------
    ConfigError
        If there was no such run.
    SourceError
        If they cannot be opened.
    """
    from connectomake.cli.bar import bar
    from connectomake.planning.opening import open_run
    from connectomake.verify.source import compare, plan_of_results

    plan = plan_of_results(open_run(config))
    with bar("files compared with their source") as progress:
        return plan, compare(plan, progress)


def conclude(plan: "Plan", comparisons: "list[Comparison]") -> None:
    """Say what the comparison came to; where all files fit, let the source of today be what they were made from."""
    from connectomake.verify.source import accept_contents

    for found in comparisons:
        if found.unknown:
            some = f"{counted(len(found.unknown), 'file')} of an older version, such as {found.unknown[0]},"
            common.note(f"{some} cannot tell what of {found.path} they were made from")
        elif found.settled:
            print(f"✓ {found.path} holds the voxels that {counted(len(found.same), 'file')} were made from")
    accept_contents(plan, [found for found in comparisons if found.settled])


def faults_of(comparisons: "list[Comparison]") -> "list[Fault]":
    """Return the faults of files that were made from other voxels."""
    from connectomake.verify.faults import Fault

    return [Fault(path, text, "source") for found in comparisons for path, text in found.texts().items()]
