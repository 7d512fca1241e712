"""Queues of the python-task-queue library: Amazon SQS, or a folder that all workers see.

A message is data: task-queue's envelope of a function's name and arguments, of which only the arguments are used. No function
is looked up by a name that a message brings.
"""

import contextlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from connectomake.errors import QueueError
from connectomake.queueing.task import Task

KEY = ("connectomake.queueing", "make")
BATCH_BYTES = 200_000
"""SQS takes 256 KiB in one request, with all that is around the messages."""
_SQS_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
_SQS_URL = re.compile(r"https?://[^/]+/[^/]+/[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A message that was drawn.

    Parameters
    ----------
    id
        What the queue knows it by while it is leased.
    value
        The task as JSON values; None if the message is no task.
    draws
        How often it was drawn, this time included.
    """

    id: str
    value: Any
    draws: int


class Queue(ABC):
    """A queue of tasks.

    Parameters
    ----------
    url
        As the user wrote it.
    tasks
        task-queue's object.
    """

    def __init__(self, url: str, tasks: Any) -> None:
        self.url = url
        self._tasks = tasks

    def put(self, tasks: Sequence[Task]) -> int:
        """Put tasks in; return how many.

        Raises
        ------
        QueueError
            If a task is too large for a message, or the queue cannot be written.
        """
        from taskqueue import FunctionTask

        bodies = [task.to_json() for task in tasks]
        largest = max((len(json.dumps(body)) for body in bodies), default=0)
        if largest > BATCH_BYTES:
            rule = tasks[0].rule
            raise QueueError(
                f"a task of {rule} takes {largest} bytes, more than the {BATCH_BYTES} of a message; let snakemake make {rule}"
            )
        self._tasks.api.batch_size = max(min(10, BATCH_BYTES // max(largest, 1)), 1)
        with explained(self.url):
            return int(self._tasks.insert([FunctionTask(KEY, [], {"task": body}, None) for body in bodies]))

    def draw(self, seconds: int, wait: int) -> Drawn | None:
        """Lease a message for so many seconds; None if none came within `wait` seconds."""
        with explained(self.url):
            return self._draw(seconds, wait)

    @abstractmethod
    def _draw(self, seconds: int, wait: int) -> Drawn | None: ...

    def renew(self, drawn: Drawn, seconds: int) -> None:
        """Let the lease last so many seconds from now on; with 0 the message can be drawn again at once."""
        with explained(self.url):
            self._tasks.api.renew_lease(SimpleNamespace(id=drawn.id), seconds)

    def finish(self, drawn: Drawn) -> None:
        """Delete a message."""
        with explained(self.url):
            self._tasks.api.delete(SimpleNamespace(id=drawn.id, _id=drawn.id))

    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are leased."""

    def purge(self) -> None:
        """Delete all messages."""
        with explained(self.url):
            self._tasks.purge(native=True)


class FolderQueue(Queue):
    """A folder; see ``fq://`` in task-queue. How often a message was drawn is noted in a file beside, a byte for each."""

    def __init__(self, url: str, tasks: Any) -> None:
        super().__init__(url, tasks)
        self._draws = Path(tasks.api.path, "draws")
        self._draws.mkdir(exist_ok=True)

    def _draw(self, seconds: int, wait: int) -> Drawn | None:
        found = self._tasks.api.lease(seconds, 1, wait)
        if not found:
            return None
        ident = str(found[0]["id"])
        with (self._draws / ident).open("ab") as stream:
            stream.write(b"x")
            draws = stream.tell()
        return Drawn(ident, _value(found[0]), draws)

    def finish(self, drawn: Drawn) -> None:
        """Delete a message."""
        super().finish(drawn)
        (self._draws / drawn.id).unlink(missing_ok=True)

    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are leased."""
        with explained(self.url):
            leased = int(self._tasks.leased)
            return max(int(self._tasks.enqueued) - leased, 0), leased

    def purge(self) -> None:
        """Delete all messages."""
        super().purge()
        for path in self._draws.iterdir():
            path.unlink(missing_ok=True)


class SqsQueue(Queue):
    """Amazon SQS, which counts draws itself."""

    def _draw(self, seconds: int, wait: int) -> Drawn | None:
        api = self._tasks.api
        answer = api.sqs.receive_message(
            QueueUrl=api.qurl, AttributeNames=["ApproximateReceiveCount"], MaxNumberOfMessages=1,
            VisibilityTimeout=seconds, WaitTimeSeconds=min(wait, 20),
        )  # fmt: skip
        for message in answer.get("Messages", ()):
            try:
                value = _value(json.loads(message["Body"]))
            except ValueError:
                value = None
            return Drawn(message["ReceiptHandle"], value, int(message["Attributes"]["ApproximateReceiveCount"]))
        return None

    def finish(self, drawn: Drawn) -> None:
        """Delete a message."""
        with explained(self.url):
            self._tasks.api.sqs.delete_message(QueueUrl=self._tasks.api.qurl, ReceiptHandle=drawn.id)

    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are leased: approximately, says Amazon."""
        with explained(self.url):
            found = self._tasks.api.status()
        waiting = int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesDelayed"])
        return waiting, int(found["ApproximateNumberOfMessagesNotVisible"])


def _value(message: Any) -> Any:
    """Return the task in task-queue's envelope; None if it is another program's."""
    payload = message.get("payload") if isinstance(message, dict) else None
    if isinstance(payload, list) and len(payload) == 4 and payload[0] == list(KEY) and isinstance(payload[2], dict):
        return payload[2].get("task")
    return None


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
    raise QueueError(f"{url!r} is no queue; take fq://FOLDER, sqs://NAME or https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")


def _open_folder(url: str, folder: Path, create: bool) -> Queue:
    if not create and not (folder / "queue").is_dir():
        raise QueueError(f"there is no queue at {url}; `connectomake queue fill --queue {url} RULE` makes it")
    with explained(url):
        return FolderQueue(url, _task_queue(f"fq://{folder.absolute()}"))


def _open_sqs(url: str, name: str, create: bool, endpoint: str | None) -> Queue:
    import boto3

    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    if "AWS_SECRET_ACCESS_KEY" in os.environ and os.environ.get("AWS_SESSION_TOKEN"):
        options["aws_session_token"] = os.environ["AWS_SESSION_TOKEN"]
    match = re.search(r"sqs\.([\w-]+)\.amazonaws", url)
    region = match[1] if match else os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"
    with explained(url):
        client = boto3.client("sqs", region_name=region, **options)
        if create:
            client.create_queue(QueueName=name)
        else:
            client.get_queue_url(QueueName=name)
        tasks = _task_queue(f"sqs://{name}", region_name=region, **options)
        return SqsQueue(url, tasks)


def _task_queue(url: str, **options: Any) -> Any:
    from taskqueue import TaskQueue

    return TaskQueue(url, progress=False, **options)


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what a queue's libraries raise into a QueueError."""
    try:
        yield
    except OSError as error:
        raise QueueError(f"the queue {url} cannot be used: {error.strerror or error}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("botocore", "boto3", "taskqueue", "tenacity")):
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
