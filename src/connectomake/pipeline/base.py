"""The interfaces of a stage and of a rule."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from connectomake.atomic import canonical_json
from connectomake.geometry import as_vec
from connectomake.planning.paths import Paths
from connectomake.planning.plan import Plan

if TYPE_CHECKING:
    from connectomake.layers import LayerSpec
    from connectomake.pipeline.job import Job

Inputs = Mapping[str, Iterable[tuple[Hashable, str]]]
"""Files that a job reads: under each name pairs of what a file is of, such as its block, and its path; lazy where many."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Stage(ABC):
    """One stage of a plan: rules whose files depend on the same settings and share one fingerprint.

    Parameters
    ----------
    plan
        The plan.
    variant
        What distinguishes this stage from others of its kind: the suffix of a further threshold of agglomeration, or a layer.
    """

    plan: Plan
    variant: str = ""

    base: ClassVar[str]
    """The name, without the variant."""
    version: ClassVar[int]
    """Raised by hand when the stage's output changes for the same input; a test with golden hashes fails otherwise."""
    rules: ClassVar[tuple[type["Rule[Any]"], ...]]
    """The rules of the workflow whose jobs make the stage's files, in order."""
    wildcard: ClassVar[str | None] = None
    """The wildcard of these rules that names the variant."""
    listed: ClassVar[bool] = True
    """Whether the files' records hold the fingerprint of the stage's own results; infos and reports stand apart."""

    @property
    def name(self) -> str:
        """The stage's name, with its variant."""
        return f"{self.base}{self.variant}"

    @property
    def paths(self) -> Paths:
        """Names of the run's files."""
        return Paths(self.plan)

    @property
    def enabled(self) -> bool:
        """Whether this plan runs the stage."""
        return True

    @classmethod
    def variants(cls, plan: Plan) -> tuple[str, ...]:
        """Return the variants that a plan can have."""
        return ("",)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names that a user may give for stages of this kind."""
        return (cls.base,)

    @abstractmethod
    def upstream(self) -> list["Stage"]:
        """Return the stages whose results this one reads."""

    @abstractmethod
    def reads(self) -> dict[str, Any]:
        """Return all else that the result depends on, as plain values: parts of the config, layers, hashes of files."""

    def param(self) -> str:
        """Return the canonical JSON of all that the result depends on."""
        upstream = {stage.name: stage.fingerprint() for stage in self.upstream()}
        return canonical_json({"stage": self.name, "version": self.version, "upstream": upstream, **self.reads()})

    def fingerprint(self) -> str:
        """Return the hash of the param, noted in every file of the stage."""
        return hashlib.sha256(self.param().encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Rule(ABC, Generic[Item]):
    """One rule of the workflow: what there is a job of, and what each job reads, leaves and does.

    Parameters
    ----------
    stage
        The stage, with its variant.
    """

    stage: Stage

    name: ClassVar[str]
    """As the rule is called in the workflow."""
    final: ClassVar[tuple[str, ...]] = ()
    """Names of the outputs that a whole run is asked for."""
    keep: ClassVar[str | None] = None
    """The word in the config's `keep` without which the outputs are deleted once used; None: they stay."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Names of outputs without a record of their own; that of the first output holds their checksums."""
    reads_all: ClassVar[bool] = False
    """Whether a job reads files of the whole run, so that a job on a cluster names them itself: see `Inputs`."""
    process_mb: ClassVar[int] = 100
    """Memory of a job's process before it reads anything, with some to spare; compiled code and torch need most."""
    held_per_byte: ClassVar[float | None] = None
    """Memory per byte of the tables that a job reads, or of its `share` of them; None: it does not follow from them."""
    seconds_per_mb: ClassVar[float | None] = None
    """Seconds of one core per MB of these; None: they follow from the voxels."""
    seconds_per_megavoxel: ClassVar[float] = 0.0
    """Seconds of one core per 10⁶ voxels."""
    varies: ClassVar[bool] = False
    """Whether memory is not the same for all jobs: see `held`."""
    shown: ClassVar[Mapping[str, str]] = {}
    """What `connectomake block` calls the outputs of the job that a block belongs to."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.stage.plan

    @property
    def paths(self) -> Paths:
        """Names of the run's files."""
        return self.stage.paths

    @property
    def enabled(self) -> bool:
        """Whether there are such jobs, given that the stage runs."""
        return True

    @property
    def kept(self) -> bool:
        """Whether the outputs stay after the run."""
        return self.keep is None or self.plan.keeps(self.keep)

    @abstractmethod
    def items(self) -> Iterable[Item]:
        """Return what there is one job of each, in order."""

    @abstractmethod
    def count(self) -> int:
        """Return how many items there are, without listing them."""

    @abstractmethod
    def parse(self, wildcards: Any) -> Item:
        """Return what a job's wildcards stand for.

        Raises
        ------
        ConfigError
            If there is no such job.
        """

    @abstractmethod
    def inputs(self, item: Item) -> Inputs:
        """Return the files that a job reads."""

    @abstractmethod
    def outputs(self, item: Item) -> dict[str, str]:
        """Return the files that a job leaves, by name; the first has a record, if any has."""

    @abstractmethod
    def work(self, job: "Job", item: Item) -> None:
        """Do a job."""

    @abstractmethod
    def look(self, name: str, item: Item) -> Callable[[str], Any]:
        """Return what opens an output, given its path, and raises an error if it is damaged; no other file is needed."""

    def content(self, item: Item) -> str | None:
        """Return the whole text of the job's one output, where it follows from the plan alone."""
        return None

    def compare(self, name: str, item: Item) -> "Comparison | None":
        """Return how an output is compared with others, if it can be."""
        return None

    def item_of(self, block: int) -> Item | None:
        """Return the job that a block belongs to, if jobs are of blocks or of groups of them."""
        return None

    def examples(self) -> Iterable[Item]:
        """Return jobs that read and make the most: here that of the block amid all others, or else the first.

        Where the block in the middle has no job, since it lies outside the mask, that in the middle of all jobs stands for it.
        """
        region = self.plan.roi
        middle = as_vec([(a + b) // 2 for a, b in zip(region.start, region.stop, strict=True)])
        item = self.item_of(self.plan.grid.id_of_voxel(middle))
        number = self.count() // 2 if self.plan.mask else 0
        return islice(self.items(), number, number + 1) if item is None else (item,)

    def process(self) -> int:
        """Return the memory in MB of a job's process before it reads anything."""
        return self.process_mb

    def held(self, item: Item | None = None) -> float:
        """Return the bytes that a job may hold beside its process, from the plan alone; of the largest job if none is named."""
        return 0.0 if self.held_per_byte is None else self.held_per_byte * self.share() * self.read()

    def most(self, largest: float) -> float:
        """Return the bytes beside its process that a job takes at most, given its largest table."""
        return math.inf

    def least(self, attempt: int) -> float:
        """Return the bytes beside its process that a job asks for at least, at its attempt."""
        return 0.0

    def read(self) -> float:
        """Return about how many bytes of tables the largest job reads, all that its jobs share included."""
        return 0.0

    def share(self) -> float:
        """Return the part of what a job reads that it holds at a time, at most."""
        return 1.0

    def sharers(self) -> int:
        """Return how many jobs share what they all open."""
        return 1

    def voxels(self) -> int:
        """Return the voxels that the largest job reads; of a block, or of a group of blocks."""
        return block_voxels(self.plan)

    def shard_of(self, name: str, item: Item) -> "tuple[LayerSpec, int] | None":
        """Return layer and block of an output that is a shard of voxels."""
        return None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a file is compared with others.

    Parameters
    ----------
    call
        Compares the file with the others, given its path, and raises an error that names it if it does not fit.
    against
        Those others; they must be whole for it.
    """

    call: Callable[[str], Any]
    against: tuple[str, ...]


def block_voxels(plan: Plan) -> int:
    """Return the voxels of the largest block."""
    return math.prod(min(b, r) for b, r in zip(plan.block, plan.roi.shape, strict=True))


def group_voxels(plan: Plan, bits: int) -> int:
    """Return the voxels of a group of blocks whose ids share all but so many bits, but for the cut at the region's end."""
    return block_voxels(plan) << min(bits, plan.grid.id_bits)


def one(path: str) -> Iterator[tuple[None, str]]:
    """Return a single file as `Inputs` have it."""
    return iter([(None, path)])


def each(items: Iterable[Any], path: Callable[..., str]) -> Iterator[tuple[Any, str]]:
    """Return the files of some items, such as blocks, as `Inputs` have them."""
    return ((item, path(item)) for item in items)
