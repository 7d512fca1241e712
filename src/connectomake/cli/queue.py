"""``connectomake queue``: fill a queue with what is missing, work on it from any machine, look at it, empty it."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG
from connectomake.credentials import redacted
from connectomake.errors import ConfigError, QueueError
from connectomake.reporting.texts import counted, seconds_text
from connectomake.shell import command

if TYPE_CHECKING:
    from connectomake.queueing.messages import Refusals
    from connectomake.queueing.queues import Queue

app = typer.Typer(
    no_args_is_help=True,
    help="Any machine as a worker: put the missing targets of a rule into a queue (SQS or a folder) and make them elsewhere.",
)
QueueUrl: TypeAlias = Annotated[str, typer.Argument(metavar="URL", help="fq://FOLDER, sqs://NAME or an SQS https address.")]
QueueOption: TypeAlias = Annotated[
    str, typer.Option("--queue", "-q", envvar="CONNECTOMAKE_QUEUE", help="fq://FOLDER, sqs://NAME or an SQS https address.")
]
QueueEndpoint: TypeAlias = Annotated[
    str | None,
    typer.Option("--queue-endpoint", help="Server with the SQS interface. [default: Amazon's, or AWS_ENDPOINT_URL_SQS]"),
]
Storage: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--storage", help="s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER that holds outdir. [default: here]"
    ),
]
Endpoint: TypeAlias = Annotated[
    str | None, typer.Option("--endpoint", help="Server with the S3 interface. [default: Amazon's, or AWS_ENDPOINT_URL]")
]
Workflow: TypeAlias = Annotated[
    str | None, typer.Option("--workflow", help="Checkout with Snakefile and scripts. [default: here, or the library's]")
]
SECONDS_BETWEEN_LOOKS = 2.0


@app.command("fill")
def fill(
    arguments: Annotated[list[str], typer.Argument(metavar="[CONFIG] RULE", help="The run's config, and the rule.")],
    queue: QueueOption,
    storage: Storage = None,
    endpoint: Endpoint = None,
    queue_endpoint: QueueEndpoint = None,
    workflow: Workflow = None,
    target: Annotated[str, typer.Option(help="Target whose missing files count: all, kept, or a file.")] = "all",
    create: Annotated[bool, typer.Option("--create", help="Make the SQS queue if it does not exist.")] = False,
) -> None:
    """Put the missing and outdated targets of a rule into a queue: those whose inputs are there."""
    from connectomake.planning.plan import Plan
    from connectomake.queueing.files import share
    from connectomake.queueing.pending import find_workflow, pending_tasks
    from connectomake.queueing.queues import open_queue
    from connectomake.storage.stores import open_store

    if len(arguments) > 2:
        raise ConfigError(f"queue fill takes [CONFIG] RULE, not {' '.join(arguments)}")
    config, rule = arguments if len(arguments) == 2 else (DEFAULT_CONFIG, arguments[0])
    for option, value in (("--storage", storage), ("--endpoint", endpoint)):
        if value and redacted(value) != value:
            raise ConfigError(
                f"{option} {value} holds a password, which every message would show; set AWS_ACCESS_KEY_ID and the like"
            )
    storage = storage.rstrip("/") if storage else None
    store = open_store(storage, endpoint) if storage else None
    opened = open_queue(queue, create or queue.startswith("fq://"), queue_endpoint)
    found = pending_tasks(rule, config, find_workflow(workflow), storage, endpoint, [target])
    if not found.tasks and found.waiting:
        raise QueueError(f"no target of {rule} can be made yet: {_waiting(found.waiting, found.before)}; fill those first")
    if not found.tasks:
        print(f"✓ nothing is missing of {rule}")
        return
    if store is not None:
        share(Plan.from_json(found.tasks[0].plan), store)
    before = sum(opened.counts())
    print(f"✓ {counted(opened.put(found.tasks), 'task')} of {rule} added to {queue}")
    if found.waiting:
        common.note(f"{_waiting(found.waiting, found.before)}; fill again when those are made")
    if before:
        common.note(f"the queue held {counted(before, 'task')} already; a task that is in twice is made once")
    options = [word for place in _places_outside(found.tasks[0].plan) for word in ("--allow", place)]
    print(f"  next, on any machine: {command(common.program('connectomake'), 'queue', 'work', queue, *options)}")


def _places_outside(plan: dict[str, Any]) -> list[str]:
    """Return the full paths that a plan names, which workers read only if they are allowed to."""
    from connectomake.queueing.bounds import outside

    places: list[str] = []
    while (found := outside(plan, [Path.cwd(), *map(Path, places)])) is not None:
        places.append(found[1])
    return places


def _waiting(number: int, before: dict[str, int]) -> str:
    rules = ", ".join(f"{count:,} for {rule}" for rule, count in sorted(before.items()))
    return f"{counted(number, 'target')} {'wait' if number != 1 else 'waits'} ({rules})"


@app.command("work")
def work(
    url: QueueUrl,
    storage: Storage = None,
    endpoint: Endpoint = None,
    queue_endpoint: QueueEndpoint = None,
    workflow: Workflow = None,
    config: Annotated[str | None, typer.Option(help="Make only tasks of this config; exit if there are others.")] = None,
    lease: Annotated[
        int,
        typer.Option(
            help="Seconds after which a dead worker's task goes to another; renewed while a job runs.", min=1, max=604800
        ),
    ] = 120,
    tries: Annotated[int, typer.Option(help="Give up a task after this many failed attempts.", min=1)] = 5,
    idle: Annotated[float | None, typer.Option(help="Exit after this many seconds without a task.", min=0)] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Go on waiting for tasks when the queue is empty.")] = False,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            "--allow", help="File or folder outside the run's folder that tasks may name; may be given several times."
        ),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", "-j", help="Workers to start on this machine.", min=1)] = 1,
) -> None:
    """Draw tasks and make them, until the queue holds none, leased ones included; Ctrl-C releases the current one."""
    from connectomake.queueing.admission import WorkerOptions
    from connectomake.queueing.pending import find_workflow
    from connectomake.queueing.queues import open_queue
    from connectomake.queueing.worker import Worker

    plan = None if config is None else _hash_of(config)
    options = WorkerOptions(
        find_workflow(workflow), lease, tries, idle, forever, storage.rstrip("/") if storage else None, endpoint, plan,
        allow=tuple(allow or ()),
    )  # fmt: skip
    opened = open_queue(url, endpoint=queue_endpoint)
    if processes > 1:
        sys.exit(_several(processes))
    sys.exit(Worker(opened, options, _say).run())


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _hash_of(config: str) -> str:
    from connectomake.queueing.task import plan_hash

    return plan_hash(common.read_plan(config).to_json())


def _several(processes: int) -> int:
    """Start workers with this process's arguments, pass signals on, and return the worst exit code."""
    command = [sys.executable, "-c", "from connectomake.cli import main; main()", *sys.argv[1:], "--processes", "1"]
    workers = [subprocess.Popen(command, start_new_session=True) for _ in range(processes)]

    def forward(number: int, frame: object) -> None:  # noqa: ARG001
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    return max(abs(worker.wait()) for worker in workers)


@app.command("status")
def status(
    url: QueueUrl,
    queue_endpoint: QueueEndpoint = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds until the queue is empty.")] = False,
) -> None:
    """Say how many tasks wait and how many are being made."""
    from connectomake.queueing.queues import open_queue

    opened = open_queue(url, endpoint=queue_endpoint)
    started, first = time.monotonic(), sum(opened.counts())
    left = _print_status(opened)
    while watch and left:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        left = sum(opened.counts())
        gone = first - left
        seconds = left * (time.monotonic() - started) / gone if gone > 0 else None
        _print_status(opened, "" if seconds is None else f", about {seconds_text(seconds)} left")


def _print_status(queue: "Queue", more: str = "") -> int:
    waiting, leased = queue.counts()
    print(f"{queue.url}: {waiting:,} waiting, {leased:,} being made{more}", flush=True)
    _print_refusals(queue)
    return waiting + leased


def _print_refusals(queue: "Queue") -> None:
    """Say what is no task, what a worker would not make, and the ways out."""
    program = common.program("connectomake")
    others = queue.left_to_others()
    if others.number:
        print(f"{counted(others.number, 'task')} refused by a worker and left to others:")
        _print_reasons(others)
    aside = queue.aside()
    if aside.number:
        print(f"{counted(aside.number, 'message')} put aside, in {aside.place}:")
        _print_reasons(aside)
        fill = command(program, "queue", "fill", "RULE", "--queue", queue.url)
        purge = command(program, "queue", "purge", queue.url, "--aside")
        print(f"  `{fill}` finds what is still missing; `{purge}` deletes what was put aside", flush=True)


def _print_reasons(refusals: "Refusals") -> None:
    for name, reason in refusals.reasons:
        print(f"  {name}: {reason}")
    if refusals.number > len(refusals.reasons):
        print(f"  and {refusals.number - len(refusals.reasons):,} more", flush=True)


@app.command("purge")
def purge(
    url: QueueUrl,
    queue_endpoint: QueueEndpoint = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    only_aside: Annotated[bool, typer.Option("--aside", help="Only the messages that were set aside.")] = False,
) -> None:
    """Delete all tasks of a queue, and the messages put aside. No file of a run is touched."""
    from connectomake.queueing.queues import open_queue

    opened = open_queue(url, endpoint=queue_endpoint)
    aside = opened.aside().number
    what = counted(aside, "message") + " put aside"
    if not only_aside:
        what = counted(sum(opened.counts()), "task") + (f" and {what}" if aside else "")
    if not yes and not typer.confirm(f"delete {what} of {url}?"):
        raise QueueError("nothing was deleted")
    (opened.purge_aside if only_aside else opened.purge)()
    print(f"✓ {what} deleted from {url}")
