"""A job on a cluster knows no jobs but its own.

Snakemake starts anew for each job and leaves out rules that are not the job's own. A rule that reads what it writes itself
(merge, agglomerate, gather, pyramid) is not left out, so the job of a high node would look for the jobs of all nodes below:
103 s and 2.2 GB at a million blocks. The head has started a job only once its inputs are there, so nobody need make them.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from connectomake_snakemake.replaced import replace as put

Targets = frozenset[tuple[str, frozenset[tuple[str, str]]]]
Match = Callable[[Any, str], set[Any]]


def targets_of(specs: Iterable[Any]) -> Targets:
    """Return rule and wildcards of each of Snakemake's target jobs; a group has several."""
    return frozenset((spec.rulename, frozenset((k, str(v)) for k, v in spec.wildcards_dict.items())) for spec in specs)


def own_only(match_producers: Match, given: Callable[[], Iterable[Any]]) -> Match:
    """Wrap the search for the rules that make a file: only where it makes it in one of the jobs that this process was given."""
    targets = functools.cache(lambda: targets_of(given()))

    def match(index: Any, targetfile: str) -> set[Any]:
        found = match_producers(index, targetfile)
        if not targets():
            return found
        return {rule for rule in found if (rule.name, frozenset(rule.get_wildcards(targetfile).items())) in targets()}

    return match


def replace(given: Callable[[], Iterable[Any]]) -> None:
    """Install it in the process of a job; `given` returns its target jobs, known once the rules have been read."""
    put({"snakemake.output_index:OutputIndex.match_producers": lambda own: own_only(own, given)})
