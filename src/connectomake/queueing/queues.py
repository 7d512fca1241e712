"""Queues of tasks: Amazon SQS, or a folder that all workers see."""

import contextlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomake.errors import QueueError
from connectomake.queueing.messages import Drawn, Refusals
from connectomake.queueing.task import Task

BATCH_BYTES = 200_000
"""SQS takes 256 KiB in one request, with all that is around the messages."""
SHOWN = 3
"""So many messages put aside are named with their reasons."""
_SQS_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
_SQS_URL = re.compile(r"https?://[^/]+/[^/]+/[A-Za-z0-9_.-]+")


class Queue(ABC):
    """A queue of tasks.

    Parameters
    ----------
    url
        As the user wrote it.
    """

    waits = True
    """Whether a draw wakes up when a message comes; else better pause between draws."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.refused: set[str] = set()
        """Keys of the messages that this worker has refused."""

    def put(self, tasks: Sequence[Task]) -> int:
        """Put tasks in; return how many.

        Raises
        ------
        QueueError
            If a task is too large for a message, or the queue cannot be written.
        """
        bodies = [task.to_json() for task in tasks]
        largest = max((len(json.dumps(body)) for body in bodies), default=0)
        if largest > BATCH_BYTES:
            rule = tasks[0].rule
            raise QueueError(
                f"a task of {rule} takes {largest} bytes, more than the {BATCH_BYTES} of a message; let snakemake make {rule}"
            )
        with explained(self.url):
            return self._put(bodies, max(min(10, BATCH_BYTES // max(largest, 1)), 1))

    def draw(self, seconds: int, wait: int) -> Drawn | None:
        """Lease a message for so many seconds; None if none came within `wait` seconds."""
        with explained(self.url):
            return self._draw(seconds, wait)

    def renew(self, drawn: Drawn, seconds: int) -> None:
        """Let the lease last so many seconds from now on; with 0 the message can be drawn again at once."""
        with explained(self.url):
            self._renew(drawn, seconds)

    def finish(self, drawn: Drawn) -> None:
        """Delete a message."""
        with explained(self.url):
            self._finish(drawn)

    def set_aside(self, drawn: Drawn, reason: str) -> None:
        """Take a message that nobody can make out of the queue, and keep it with the reason."""
        with explained(self.url):
            self._set_aside(drawn, reason)

    def refuse(self, drawn: Drawn, reason: str) -> None:
        """Give a message back that this worker cannot make; it is left to others."""
        self.refused.add(drawn.key)
        with explained(self.url):
            self._refuse(drawn, reason)

    @abstractmethod
    def _put(self, bodies: list[dict[str, Any]], at_once: int) -> int: ...

    @abstractmethod
    def _draw(self, seconds: int, wait: int) -> Drawn | None: ...

    @abstractmethod
    def _renew(self, drawn: Drawn, seconds: int) -> None: ...

    @abstractmethod
    def _finish(self, drawn: Drawn) -> None: ...

    @abstractmethod
    def _set_aside(self, drawn: Drawn, reason: str) -> None: ...

    @abstractmethod
    def _refuse(self, drawn: Drawn, reason: str) -> None: ...

    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are leased, but those that this worker has refused."""

    @abstractmethod
    def aside(self) -> Refusals:
        """Return what was put aside."""

    @abstractmethod
    def left_to_others(self) -> Refusals:
        """Return what a worker refused and still lies in the queue; of SQS that is not known."""

    @abstractmethod
    def purge(self) -> None:
        """Delete all messages, those put aside too."""

    @abstractmethod
    def purge_aside(self) -> None:
        """Delete the messages put aside."""


def open_queue(url: str, create: bool = False, endpoint: str | None = None) -> Queue:
    """Open a queue.

    Parameters
    ----------
    url
        ``fq://FOLDER``, ``sqs://NAME``, or the https address of an SQS queue.
    create
        Make it if it is not there.
    endpoint
        Of a server that speaks SQS; default Amazon's, or ``AWS_ENDPOINT_URL_SQS``.

    Raises
    ------
    QueueError
        If the address is wrong, there is no such queue, or the credentials are refused.
    """
    scheme, _, place = url.partition("://")
    if scheme == "fq" and place:
        return _open_folder(url, Path(place).expanduser(), create)
    if (scheme == "sqs" and _SQS_NAME.fullmatch(place)) or (scheme in ("https", "http") and _SQS_URL.fullmatch(url)):
        return _open_sqs(url, place.rpartition("/")[2], create, endpoint)
    raise QueueError(f"{url!r} is not a queue; use fq://FOLDER, sqs://NAME or https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")


def _open_folder(url: str, folder: Path, create: bool) -> Queue:
    from connectomake.queueing.folder_queue import FolderQueue
    from connectomake.shell import command

    if not create and not (folder / "queue").is_dir():
        made = command("connectomake", "queue", "fill", "--queue", url, "RULE")
        raise QueueError(f"there is no queue at {url}; `{made}` makes it")
    with explained(url):
        return FolderQueue(url, folder.absolute())


def _open_sqs(url: str, name: str, create: bool, endpoint: str | None) -> Queue:
    import boto3

    from connectomake.queueing.sqs_queue import SqsQueue
    from connectomake.storage.client import region

    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    match = re.search(r"sqs\.([\w-]+)\.amazonaws", url)
    named = match[1] if match else region()
    with explained(url):
        client = boto3.client("sqs", region_name=named, **options)
        if create:
            client.create_queue(QueueName=name)
        return SqsQueue(url, client, name)


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what a queue's libraries raise into a QueueError."""
    try:
        yield
    except OSError as error:
        named = f" ({error.filename})" if error.filename else ""
        raise QueueError(f"the queue {url} cannot be used: {error.strerror or error}{named}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "boto3")):
            raise
        raise QueueError(f"the queue {url} cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    answer = getattr(error, "response", {})
    code = str(answer.get("Error", {}).get("Code", "")) or type(error).__name__
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for names, reason in _REASONS:
        if any(name in f"{code} {type(error).__name__}" for name in names):
            return reason.format(code=code, error=error)
    if status in (401, 403) or code in ("401", "403"):
        return f"the AWS credentials are wrong, or may not use it (the answer was {code})"
    return " ".join(str(error).split())


_REASONS = (
    (
        ("NonExistentQueue", "QueueDoesNotExist"),
        "there is no such queue in this account and region; make it with `connectomake queue fill --create`",
    ),
    (
        ("NoCredentialsError", "PartialCredentialsError"),
        "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        ("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidAccessKeyId"),
        "the AWS credentials are wrong ({code})",
    ),
    (("Expired",), "the AWS credentials have expired ({code})"),
    (("AccessDenied",), "the AWS credentials may not use it ({error})"),
)
"""Names in a code of AWS or of an exception, and what to say of them."""
