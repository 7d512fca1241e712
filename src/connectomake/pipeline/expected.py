"""Every file that a whole run leaves, with the way to look into it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from connectomake.layers import LayerSpec
from connectomake.pipeline.base import Rule
from connectomake.pipeline.kinds import BlockRule
from connectomake.pipeline.registry import STAGES as KINDS
from connectomake.pipeline.registry import Stages
from connectomake.pipeline.reports import Reports
from connectomake.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that should be there.

    Parameters
    ----------
    stage
        Its stage, with the suffix of a further threshold of agglomeration, if it is of one.
    path
        The file.
    look
        Opens the file and raises an error if it is damaged; no other file is needed.
    recorded
        Whether the file ends in a record with its stage's fingerprint.
    layer, block
        Of shards.
    spec
        Of shards of a coarser scale.
    beside
        The file whose record holds the checksum of this one, which has none of its own.
    compare
        Compares the file with others and raises an error that names it if it does not fit.
    against
        Those others; they must be whole for it.
    needed
        Whether it must be there; what was asked for by name, such as a report, is looked at if it is.
    """

    stage: str
    path: str
    look: Callable[[str], Any]
    recorded: bool = True
    layer: str | None = None
    block: int = 0
    spec: LayerSpec | None = None
    beside: str | None = None
    compare: Callable[[str], Any] | None = None
    against: tuple[str, ...] = ()
    needed: bool = True


def stage_names() -> list[str]:
    """Return the names of all stages that there can be, further thresholds left out."""
    names = (kind.names() for kind in KINDS)
    return [name for of_kind in names for name in of_kind]


def expected(plan: Plan) -> Iterator[Expected]:
    """Yield every file that should lie there after a whole run: those of ``Targets.kept()``, in order of the stages."""
    for rule in Stages(plan).rules():
        if rule.kept:
            for item in rule.items():
                yield from _of_job(rule, item)


def _of_job(rule: Rule[Any], item: Any) -> Iterator[Expected]:
    outputs = rule.outputs(item)
    first = next(iter(outputs))
    for name, path in outputs.items():
        recorded, comparison, shard = name not in rule.beside, rule.compare(name, item), rule.shard_of(name, item)
        spec, block = shard or (None, 0)
        yield Expected(
            rule.stage.name,
            path,
            rule.look(name, item),
            recorded=recorded,
            layer=rule.layer.name if isinstance(rule, BlockRule) and spec is not None else None,
            block=block,
            spec=None if isinstance(rule, BlockRule) else spec,
            beside=None if recorded or name == first else outputs[first],
            compare=None if comparison is None else comparison.call,
            against=() if comparison is None else comparison.against,
            needed=not isinstance(rule.stage, Reports) or rule.stage.wanted,
        )
